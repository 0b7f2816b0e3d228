//! Programs that ringrail is compared with; see `examples`.
