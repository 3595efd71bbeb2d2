//! The evaluator's speed with criterion's statistics, run against run: what got faster or
//! slower since the last time. The limits stand in `main.rs` beside this file, and so does
//! memory.

mod cluster;

use std::{hint::black_box, time::Duration};

use cluster::{Size, labels, policies, policy, topology};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use netproof::{
    model::{End, Family, IpProtocol, Traffic},
    policy::{Compiled, Policy, Question},
};

const MIDDLE: Size = Size { pods: 10_000, policies: 1_000, namespaces: 200 };
const LARGE: Size = Size { pods: 100_000, policies: 10_000, namespaces: 2_000 };

/// Every pair of 10,000 pods on one port: the throughput is in pairs.
fn matrix(criterion: &mut Criterion) {
    let all = Compiled::new(policies(MIDDLE), topology(MIDDLE));
    let question = Question { protocol: IpProtocol::Tcp, port: 8080, family: Some(Family::Ipv4) };
    let mut group = criterion.benchmark_group("matrix");
    group.throughput(Throughput::Elements((MIDDLE.pods * MIDDLE.pods) as u64));
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("10000 pods", |bencher| bencher.iter(|| all.matrix(&question)));
    group.finish();
}

/// One change in what is compiled already; each is new to it.
fn change(criterion: &mut Criterion) {
    let mut all = Compiled::new(policies(MIDDLE), topology(MIDDLE));
    let mut number = 0;
    let mut next = move || {
        number += 1;
        number
    };
    let mut group = criterion.benchmark_group("change");
    group.bench_function("labels of a pod", |bencher| {
        bencher.iter_batched(
            || {
                let number = next();
                (number * 97 % MIDDLE.pods, labels(number, number))
            },
            |(pod, labels)| all.set_pod_labels(pod, labels),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("labels of a namespace", |bencher| {
        bencher.iter_batched(
            || {
                let number = next();
                (format!("ns-{:04}", number % MIDDLE.namespaces), labels(number, number))
            },
            |(namespace, labels)| all.set_namespace_labels(&namespace, labels),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("a policy", |bencher| {
        bencher.iter_batched(
            || {
                let number = next();
                Policy::Network(policy(number * 7 % MIDDLE.policies, MIDDLE, number))
            },
            |policy| all.put(policy),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// The curve: the throughput is in pods and policies, and must not fall as they grow.
fn compile(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    for factor in [1, 2, 4, 8] {
        let size =
            Size { pods: 12_500 * factor, policies: 1_250 * factor, namespaces: 250 * factor };
        let objects = size.pods + size.policies;
        group.throughput(Throughput::Elements(objects as u64));
        group.bench_function(BenchmarkId::from_parameter(objects), |bencher| {
            bencher.iter_batched(
                || (policies(size), topology(size)),
                |(policies, topology)| Compiled::new(policies, topology),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// One connection with its reasons, among 100,000 pods.
fn point(criterion: &mut Criterion) {
    let all = Compiled::new(policies(LARGE), topology(LARGE));
    let mut number = 0;
    criterion.bench_function("point", |bencher| {
        bencher.iter(|| {
            number += 1;
            let from = number * 7_919 % LARGE.pods;
            // Half of them inside one namespace, where most policies look.
            let to = match number % 2 {
                0 => number * 104_729 % LARGE.pods,
                _ => (from + LARGE.namespaces) % LARGE.pods,
            };
            let traffic = Traffic::new(End::Pod(from), End::Pod(to), IpProtocol::Tcp, 8080);
            black_box(all.decide(&traffic))
        });
    });
}

criterion_group!(evaluator, matrix, change, compile, point);
criterion_main!(evaluator);
