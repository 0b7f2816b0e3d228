//! What ringrail is compared with; see `examples`.
