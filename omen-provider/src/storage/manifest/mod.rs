//! The manifest: the commit point of the durable set of segments.
