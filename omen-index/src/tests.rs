//! Tests of the whole crate: the law of the search range, the stored form, the order of keys.

mod distributions;
mod key_order;
mod law;
mod stored_form;
