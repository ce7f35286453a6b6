//! What a commit costs: small and large, past the page cache and through it, synced and not. The data goes to the directory that `STOA_BENCH_DIR`
//! names, or to the one for temporary files.
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use stoa_storage::{Store, StoreOptions, SyncPolicy};

fn commit(c: &mut Criterion) {
    let dir = std::env::var_os("STOA_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let ways = [
        ("synced, direct", SyncPolicy::Always, true),
        ("synced, buffered", SyncPolicy::Always, false),
        ("unsynced", SyncPolicy::Never, false),
    ];
    let mut group = c.benchmark_group("commit");
    for (way, sync, direct) in ways {
        let dir = tempfile::tempdir_in(&dir).unwrap();
        let mut options = StoreOptions::new(dir.path());
        (options.sync, options.direct) = (sync, direct);
        let Store { mut journal, tables } = Store::open(&options).unwrap();
        journal.replay(tables.position().unwrap(), |_, _| {}).unwrap();
        for bytes in [200, 1 << 10, 16 << 10, 1 << 20] {
            let payload = vec![7; bytes];
            group.throughput(Throughput::Bytes(bytes as u64));
            group.bench_function(BenchmarkId::new(way, bytes), |b| {
                b.iter(|| {
                    journal.buffer().extend_from_slice(&payload);
                    let number = journal.commit().unwrap();
                    journal.release(number);
                });
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2)).sample_size(30);
    targets = commit
}
criterion_main!(benches);
