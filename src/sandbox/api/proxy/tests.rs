use std::{future::Future, pin::Pin, sync::Arc};

use axum::{Router, response::IntoResponse as _, routing::any};
use futures::{FutureExt as _, future::BoxFuture};
use http::Request;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::sandbox::api::{
    access::{Access, token::Tokens},
    http::answer as serve,
    resource::{ENDPOINTS, PODS, SERVICES},
    runtime::ControlPlane,
    store::Store,
};

/// A network in which every address is one listener's.
struct Everywhere(SocketAddr);

impl ControlPlane for Everywhere {
    fn connect(&self, _: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>> {
        TcpStream::connect(self.0).boxed()
    }
}

/// An API with a pod, and Services with and without an endpoint, in front of a listener.
fn api(listener: SocketAddr) -> Api {
    let store = Store::new();
    let port = |name: &str, port: u16| json!({"name": name, "port": port});
    let service = json!([port("main", 8080), port("metrics", 9090)]);
    store.write(|writer| {
        for (resource, name, rest) in [
            (
                &PODS,
                "web",
                json!({
                    "spec": {"containers": [{"name": "a"}, {"ports": [{"containerPort": 8080}]}]},
                    "status": {"podIP": "10.244.0.5"},
                }),
            ),
            (&PODS, "new", json!({"spec": {"containers": []}})),
            (&SERVICES, "web", json!({"spec": {"ports": service}})),
            (&SERVICES, "none", json!({"spec": {"ports": service}})),
            (
                &ENDPOINTS,
                "web",
                json!({"subsets": [
                    {"addresses": [{"ip": "10.244.0.5"}], "ports": [port("main", 80)]},
                ]}),
            ),
        ] {
            let mut object = rest;
            object["metadata"] = json!({"name": name, "namespace": "shop"});
            writer.put(resource, object);
        }
    });
    let access = Access::new(None, Arc::new(Tokens::generate().expect("tokens")));
    let mut api = Api::new(Arc::new(store), access, None);
    api.control_plane = Some(Arc::new(Everywhere(listener)));
    api
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

async fn asked(api: &Api, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let answer = serve(api, request).await.unwrap_or_else(Failure::into_response);
    let (parts, body) = answer.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
    (parts.status, parts.headers, String::from_utf8_lossy(&body).into_owned())
}

fn get(path: &str) -> Request<Body> {
    let uri = format!("/api/v1/namespaces/shop/{path}");
    Request::get(uri).body(Body::empty()).expect("a request")
}

#[tokio::test]
async fn the_request_arrives_with_its_path_and_without_who_asks() {
    let (listener, address) = listen().await;
    let echo = |request: axum::extract::Request| async move {
        let header = |name: &str| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or("none").to_owned()
        };
        let told = ["host", "authorization", "x-forwarded-uri", "x-own"];
        let told = told.map(header).join("|");
        let said = format!("{} {} {told}", request.method(), request.uri());
        (StatusCode::IM_A_TEAPOT, [("x-answer", "yes")], said)
    };
    tokio::spawn(axum::serve(listener, Router::new().fallback(any(echo))).into_future());
    let api = api(address);
    let mut request = get("pods/web/proxy/a/b%20c?d=e");
    for (name, value) in [("authorization", "Bearer x"), ("host", "api:6443"), ("x-own", "1")] {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let (code, headers, said) = asked(&api, request).await;
    assert_eq!(code, StatusCode::IM_A_TEAPOT, "the answer is the pod's own");
    assert_eq!(headers.get("x-answer"), Some(&HeaderValue::from_static("yes")));
    let path = "/api/v1/namespaces/shop/pods/web/proxy/a/b%20c";
    assert_eq!(said, format!("GET /a/b%20c?d=e api:6443|none|{path}|1"));

    for path in ["pods/http:web:80/proxy/", "services/web:main/proxy/", "services/web:8080/proxy/"]
    {
        let (code, _, said) = asked(&api, get(path)).await;
        assert_eq!(code, StatusCode::IM_A_TEAPOT, "{path}: {said}");
        assert!(said.starts_with("GET / "), "{path}: {said}");
    }
}

#[tokio::test]
async fn what_leads_nowhere_is_told_as_the_api_server_tells_it() {
    let (listener, address) = listen().await;
    // Nobody listens any more.
    drop(listener);
    let api = api(address);
    for (path, code, message) in [
        ("pods/none/proxy/", 404, "pods \"none\" not found"),
        ("pods/new/proxy/", 400, "address not allowed"),
        ("pods/a:b:c:d/proxy/", 400, "invalid pod request \"a:b:c:d\""),
        (
            "pods/web/proxy/",
            503,
            "error trying to reach service: dial tcp 10.244.0.5:8080: connect: connection refused",
        ),
        ("services/none:main/proxy/", 503, "no endpoints available for service \"none\""),
        ("services/web/proxy/", 503, "no endpoints available for service \"web\""),
        ("services/web:9090/proxy/", 503, "no endpoints available for service \"web:9090\""),
        ("services/web:81/proxy/", 503, "no service port 81 found for service \"web\""),
    ] {
        let (found, _, said) = asked(&api, get(path)).await;
        let said: Value = serde_json::from_str(&said).expect(path);
        assert_eq!((found.as_u16(), said["message"].as_str()), (code, Some(message)), "{path}");
    }
    let (code, headers, _) = asked(&api, get("pods/web/proxy?a=b")).await;
    assert_eq!(code, StatusCode::MOVED_PERMANENTLY);
    let place = headers.get(LOCATION).and_then(|place| place.to_str().ok());
    assert_eq!(place, Some("/api/v1/namespaces/shop/pods/web/proxy/?a=b"));
}

#[test]
fn a_redirection_to_the_same_host_stays_below_the_proxys_path() {
    let prefix = "/api/v1/namespaces/shop/pods/web/proxy";
    for (place, expected) in [
        ("/login?a=b", Some("/api/v1/namespaces/shop/pods/web/proxy/login?a=b")),
        ("http://10.0.0.5:80/", Some("/api/v1/namespaces/shop/pods/web/proxy/")),
        ("https://api:6443/x", Some("https://api:6443/api/v1/namespaces/shop/pods/web/proxy/x")),
        ("https://elsewhere/x", None),
        ("/api/v1/namespaces/shop/pods/web/proxy/x", None),
        ("login", None),
    ] {
        let found =
            redirected(&HeaderValue::from_static(place), ["10.0.0.5:80", "api:6443"], prefix);
        let found = found.as_ref().and_then(|found| found.to_str().ok());
        assert_eq!(found, expected, "{place}");
    }
}

#[tokio::test]
async fn a_connection_that_leaves_http_is_joined_to_the_clients() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a request"));
        }
        let switched =
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        stream.write_all(switched).await.expect("sent");
        let (mut reader, mut writer) = stream.split();
        tokio::io::copy(&mut reader, &mut writer).await.expect("copied");
    });
    let api = api(address);
    let served =
        move |request: axum::extract::Request| -> Pin<Box<dyn Future<Output = Response> + Send>> {
            let api = api.clone();
            Box::pin(async move {
                serve(&api, request).await.unwrap_or_else(|failure| failure.into_response())
            })
        };
    let (front, at) = listen().await;
    tokio::spawn(axum::serve(front, Router::new().fallback(any(served))).into_future());
    let mut client = TcpStream::connect(at).await.expect("connected");
    let asked = "GET /api/v1/namespaces/shop/pods/web/proxy/ws HTTP/1.1\r\nhost: api\r\n\
                 connection: upgrade\r\nupgrade: echo\r\n\r\n";
    client.write_all(asked.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.expect("an answer"));
    }
    let head = String::from_utf8_lossy(&head);
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    client.write_all(b"hello").await.expect("sent");
    let mut heard = [0; 5];
    client.read_exact(&mut heard).await.expect("an echo");
    assert_eq!(&heard, b"hello");
}
