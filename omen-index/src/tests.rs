//! Tests of the whole crate: the law of the search range, the stored form, the order of keys.

mod byte_index;
pub(crate) mod distributions;
mod hostile_bytes;
mod key_order;
mod law;
mod probes;
mod stored_form;
