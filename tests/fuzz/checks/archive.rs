//! Archives of a peer: an error, or a view that can be read to its end.

use ringrail_codec::archive::{FailureBody, access, decode, encode_to_vec};
use ringrail_codec::native::FailureCode;
use rkyv::util::AlignedVec;

/// Validates `data` as archives of several shapes.
pub(crate) fn check(data: &[u8]) {
    let mut bytes = AlignedVec::<16>::with_capacity(data.len());
    bytes.extend_from_slice(data);
    check_failure(&bytes);
    if let Ok(view) = access::<(u8, Vec<u64>, Option<String>)>(&bytes) {
        let sum = view
            .1
            .iter()
            .fold(0u64, |sum, item| sum.wrapping_add(item.to_native()));
        let text = view.2.as_ref().map_or(0, |text| text.chars().count());
        std::hint::black_box((view.0, sum, text));
    }
    if let Ok(view) = access::<Vec<Vec<Vec<u8>>>>(&bytes) {
        let len: usize = view
            .iter()
            .flat_map(|inner| inner.iter())
            .map(|leaf| leaf.len())
            .sum();
        // Parts of an archive do not overlap, so a small one cannot pretend to hold much.
        assert!(len <= bytes.len());
    }
    if let Ok(map) = decode::<std::collections::BTreeMap<u32, String>>(&bytes) {
        assert!(map.len() <= bytes.len());
    }
}

fn check_failure(bytes: &[u8]) {
    let Ok(failure) = FailureBody::decode(FailureCode::Internal, false, bytes) else {
        return;
    };
    let mut again = Vec::new();
    encode_to_vec(&failure, &mut again).expect("it was an archive before");
    let back = FailureBody::decode(FailureCode::Internal, false, &again).expect("just written");
    assert_eq!(back, failure);
    let mut small = failure;
    small.bound(64);
    again.clear();
    assert!(encode_to_vec(&small, &mut again).is_ok_and(|len| len <= 64));
}
