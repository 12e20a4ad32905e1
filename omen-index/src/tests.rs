//! Tests of the whole crate: the law of the search range, the stored form, the order of keys.

mod byte_index;
mod byte_index_size;
mod distributions;
mod hostile_byte_index;
mod hostile_bytes;
mod key_order;
mod law;
mod probes;
mod simd;
mod stored_form;
