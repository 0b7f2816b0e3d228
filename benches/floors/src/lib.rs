//! The floors ringrail is measured against.
