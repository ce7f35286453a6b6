//! RocksDB's options: few files, little memory while idle, writes that never wait for long. What was measured is in the comments.

use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, LogLevel, Options};

use super::Family;
use crate::options::StoreOptions;

/// Values from this size on go to blob files, where compaction does not copy them.
const BLOB_BYTES_MIN: u64 = 4 << 10;
const BLOB_FILE_BYTES: u64 = 64 << 20;
/// Compaction moves what is alive out of the oldest quarter of the blob files.
const BLOB_GC_AGE_CUTOFF: f64 = 0.25;
/// So many new table files are merged. The tables of these families are small, for the values are elsewhere, but each merge copies the values that are alive
/// out of the oldest blob files: 1.5 GB in 100 queues wrote 1.8 bytes a byte when 4 were merged, and 1.3 with 12.
const BLOB_FAMILY_FILES: i32 = 12;
/// A table file with so many deletions in it is merged at once: what was consumed leaves the disk with the next flush, and not with the twelfth.
const TOMBSTONE_RATIO: f64 = 0.5;
/// How often what is being written is pushed to the disk, so that the sync at its end is short.
const BYTES_PER_SYNC: u64 = 1 << 20;
const BLOCK_BYTES: usize = 16 << 10;
const BLOOM_BITS_PER_KEY: f64 = 10.0;

/// The options of the database as a whole.
pub(super) fn database(store: &StoreOptions) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_atomic_flush(true);
    options.set_db_write_buffer_size(store.write_buffer_bytes);
    options.set_max_background_jobs(2);
    options.set_bytes_per_sync(BYTES_PER_SYNC);
    options.set_paranoid_checks(true);
    options.set_avoid_unnecessary_blocking_io(true);
    options.set_max_open_files(i32::try_from(store.open_files_max).unwrap_or(i32::MAX));
    options.set_table_cache_num_shard_bits(2);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_stats_dump_period_sec(0);
    options
}

/// The options of each family.
pub(super) fn families(store: &StoreOptions) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(store.block_cache_bytes);
    let descriptor = |family: Family| ColumnFamilyDescriptor::new(family.name(), self::family(family, store, &cache));
    Family::ALL.into_iter().map(descriptor).collect()
}

fn family(family: Family, store: &StoreOptions, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_block_size(BLOCK_BYTES);
    blocks.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);

    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::Lz4);
    // While one is being flushed the next fills. Stalling writers at the total instead was tried: single writes took 0.9 s.
    options.set_write_buffer_size(store.write_buffer_bytes / 2);
    options.set_max_write_buffer_number(4);
    options.set_level_compaction_dynamic_level_bytes(true);
    if matches!(family, Family::Chunks | Family::Bodies) {
        options.set_enable_blob_files(true);
        options.set_min_blob_size(BLOB_BYTES_MIN);
        options.set_blob_file_size(BLOB_FILE_BYTES);
        options.set_blob_compression_type(DBCompressionType::Lz4);
        options.set_enable_blob_gc(true);
        options.set_blob_gc_age_cutoff(BLOB_GC_AGE_CUTOFF);
        options.set_level_zero_file_num_compaction_trigger(BLOB_FAMILY_FILES);
        options.add_compact_on_deletion_collector_factory(0, 0, TOMBSTONE_RATIO);
    }
    options
}
