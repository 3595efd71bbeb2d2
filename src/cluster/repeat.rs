//! Asking again what failed for the moment: a server that is busy or restarting, a load
//! balancer that cut an idle connection.
//!
//! Every request may be sent twice. Whoever creates something therefore takes an object
//! of its own name and run that exists already for its own.

use std::time::{Duration, Instant};

use http::{Request, Response, StatusCode, header};
use kube::client::{AuthError, Body};
use tokio::time::Sleep;
use tower::{BoxError, retry::Policy};

use super::retry::Backoff;

/// How long is tried after the first failure: an API server that is rolled over is back
/// by then, and a run's Lease isn't lost yet.
const WITHIN: Duration = Duration::from_secs(10);

/// Repeats requests below the client.
#[derive(Clone, Debug)]
pub(super) struct Repeat {
    backoff: Backoff,
    failed: Option<Instant>,
}

impl Repeat {
    /// For requests that haven't failed yet.
    pub(super) fn new() -> Self {
        Self { backoff: Backoff::request(), failed: None }
    }
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for Repeat {
    type Future = Sleep;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        result: &mut Result<Response<B>, BoxError>,
    ) -> Option<Sleep> {
        let told = match result {
            Ok(response) if is_passing(response.status()) => wanted(response),
            Ok(_) => return None,
            // Whatever kube itself says is about credentials, which don't mend themselves.
            Err(error) if error.is::<kube::Error>() || error.is::<AuthError>() => return None,
            Err(_) => Duration::ZERO,
        };
        let failed = *self.failed.get_or_insert_with(Instant::now);
        let pause = self.backoff.pause().max(told);
        (failed.elapsed() + pause <= WITHIN).then(|| tokio::time::sleep(pause))
    }

    /// None for what must not be repeated here: watches and sessions have a patience of
    /// their own, and whether the server can be reached at all is to be told at once.
    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        let uri = request.uri();
        let watches = uri.query().is_some_and(|query| {
            query.split('&').any(|parameter| matches!(parameter, "watch=true" | "watch=1"))
        });
        if watches || uri.path() == "/version" || request.headers().contains_key(header::UPGRADE) {
            return None;
        }
        let mut copy = Request::new(request.body().try_clone()?);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = uri.clone();
        *copy.version_mut() = request.version();
        *copy.headers_mut() = request.headers().clone();
        *copy.extensions_mut() = request.extensions().clone();
        Some(copy)
    }
}

fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// The pause that the server asks for.
fn wanted<B>(response: &Response<B>) -> Duration {
    let seconds = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::{Api, Client, api::PostParams};
    use tower::{ServiceBuilder, retry::RetryLayer, service_fn};

    use super::*;

    /// What the server does with the first requests, before all is well.
    #[derive(Clone, Copy)]
    enum Trouble {
        Status(u16),
        Reset,
    }

    /// A client whose server is in trouble `times` times; counts requests.
    fn client(trouble: Trouble, times: u32) -> (Client, Arc<AtomicU32>) {
        let asked = Arc::new(AtomicU32::new(0));
        let counted = asked.clone();
        let server = service_fn(move |request: Request<Body>| {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                let answer = |status: u16, body: String| {
                    Response::builder().status(status).body(Body::from(body.into_bytes()))
                };
                if number < times {
                    return match trouble {
                        Trouble::Reset => Err(BoxError::from(std::io::Error::from(
                            std::io::ErrorKind::ConnectionReset,
                        ))),
                        Trouble::Status(status) => {
                            let body = format!(
                                r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","code":{status}}}"#
                            );
                            Ok(answer(status, body)?)
                        }
                    };
                }
                let body = request.into_body().collect_bytes().await?;
                let body = String::from_utf8_lossy(&body).into_owned();
                let body = if body.is_empty() { r#"{"metadata":{}}"#.into() } else { body };
                Ok(answer(200, body)?)
            }
        });
        let service = ServiceBuilder::new().layer(RetryLayer::new(Repeat::new())).service(server);
        (Client::new(service, "default"), asked)
    }

    async fn create(client: Client) -> Result<ConfigMap, kube::Error> {
        let mut object = ConfigMap::default();
        object.metadata.name = Some("np-abcdef".into());
        Api::<ConfigMap>::namespaced(client, "shop").create(&PostParams::default(), &object).await
    }

    #[tokio::test]
    async fn what_passes_is_asked_again_with_its_body() {
        let tried = [
            ("a busy server", Trouble::Status(429)),
            ("a server without its store", Trouble::Status(500)),
            ("a proxy without a server", Trouble::Status(502)),
            ("a server that starts", Trouble::Status(503)),
            ("a proxy that has waited", Trouble::Status(504)),
            ("a broken connection", Trouble::Reset),
        ]
        .map(async |(what, trouble)| {
            let (client, asked) = client(trouble, 3);
            let created = create(client).await.expect(what);
            assert_eq!(created.metadata.name.as_deref(), Some("np-abcdef"), "{what}");
            assert_eq!(asked.load(Ordering::Relaxed), 4, "{what}");
        });
        futures::future::join_all(tried).await;
    }

    #[tokio::test]
    async fn an_answer_is_an_answer() {
        for status in [400, 401, 403, 404, 409, 410, 422] {
            let (client, asked) = client(Trouble::Status(status), 1);
            create(client).await.expect_err("the first answer stands");
            assert_eq!(asked.load(Ordering::Relaxed), 1, "{status}");
        }
    }

    #[tokio::test]
    async fn patience_ends() {
        let mut request = Request::new(Body::empty());
        let mut busy = |failed, wait: &str| {
            let mut repeat = Repeat { failed, ..Repeat::new() };
            let response = Response::builder().status(429).header("retry-after", wait).body(());
            let mut result = Ok(response.expect("a response"));
            repeat.retry(&mut request, &mut result).is_some()
        };
        let now = Instant::now();
        assert!(busy(None, "1"), "the first failure");
        assert!(busy(now.checked_sub(WITHIN / 2), "1"), "half of the time is left");
        assert!(!busy(now.checked_sub(WITHIN), "0"), "none is left");
        assert!(!busy(None, "3600"), "the server asks for more than there is");
    }

    #[tokio::test]
    async fn the_first_call_of_a_run_is_not_repeated() {
        let (client, asked) = client(Trouble::Reset, 1);
        client.apiserver_version().await.expect_err("out of reach");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}
