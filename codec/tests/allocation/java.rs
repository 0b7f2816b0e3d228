//! Java's streams.

use ringrail_codec::java::{Limits, Tree};

use crate::allocations;

/// A vector that grows is allocated again and again, each time twice as long, and is half empty in the end.
const GROWTH: usize = 4;

/// The front of a class descriptor without a superclass.
fn class(flags: u8, fields: &[u8], field_count: u16) -> Vec<u8> {
    let mut bytes = b"\x72\x00\x01A\0\0\0\0\0\0\0\0".to_vec();
    bytes.push(flags);
    bytes.extend(field_count.to_be_bytes());
    bytes.extend(fields);
    bytes.push(0x78);
    bytes
}

fn stream(front: &[u8], repeated: &[u8], times: usize) -> Vec<u8> {
    let mut bytes = vec![0xac, 0xed, 0, 5];
    bytes.extend(front);
    bytes.extend(repeated.repeat(times));
    bytes
}

/// The streams that become the biggest trees for their length: nulls, empty texts, and objects of a class with
/// many fields or superclasses.
fn worst() -> Vec<(&'static str, Vec<u8>)> {
    let object = b"\x73\x71\x00\x7e\x00\x00".as_slice();
    let nulls = [object, &[0x70; 1000]].concat();
    let mut fields = b"L\0\x01f\x74\0\x01L".to_vec();
    fields.extend(b"L\0\x01f\x71\0\x7e\0\x01".repeat(999));
    let mut fat = vec![0x73];
    fat.extend(class(2, &fields, 1000));
    fat.extend([0x70; 1001]);
    let mut tall = vec![0x73];
    tall.extend(class(2, &[], 0).repeat(32));
    tall.push(0x70);
    let annotated = [&[0x73][..], &class(3, &[], 0), &[0x70]].concat();
    let array =
        b"\x75\x72\x00\x13[Ljava.lang.Object;\0\0\0\0\0\0\0\0\x02\0\0\x78\x70\x00\x10\x00\x00";
    vec![
        ("nulls at the top", stream(&[], &[0x70], 200_000)),
        (
            "nulls in an annotation",
            stream(&annotated, &[0x70], 200_000),
        ),
        ("nulls in an array", stream(array, &[0x70], 1 << 20)),
        ("nulls in fields", stream(&fat, &nulls, 1000)),
        ("superclasses", stream(&tall, object, 7000)),
        ("empty texts", stream(&[], b"\x74\0\0", 130_000)),
        ("empty blocks", stream(&[], b"\x77\0", 200_000)),
        ("more of all than allowed", stream(&[], &[0x70], 1 << 20)),
    ]
}

#[test]
fn a_tree_takes_no_more_memory_than_its_limits_say() {
    let limits = Limits::DEFAULT;
    for (name, stream) in worst() {
        let (_, bytes, read) = allocations(|| Tree::read(&stream, &limits));
        let parts = limits.max_nodes as usize;
        let bound = GROWTH * (64 * parts + 16 * stream.len());
        assert!(
            bytes <= bound,
            "{name}: {bytes} bytes for {}, more than {bound}",
            stream.len()
        );
        let whole = name != "more of all than allowed" && name != "nulls in an annotation";
        assert_eq!(read.is_ok(), whole, "{name}: {:?}", read.err());
    }
}

/// Arrays in arrays, each of which announces as much as is allowed.
#[test]
fn what_is_announced_takes_no_memory() {
    let array =
        b"\x75\x72\x00\x13[Ljava.lang.Object;\0\0\0\0\0\0\0\0\x02\0\0\x78\x70\x00\x10\x00\x00";
    let stream = stream(array, b"\x75\x71\x00\x7e\x00\x00\x00\x10\x00\x00", 100);
    let (_, bytes, read) = allocations(|| Tree::read(&stream, &Limits::DEFAULT));
    assert!(read.is_err());
    assert!(bytes < 100 * 1024, "{bytes} bytes for {}", stream.len());
}
