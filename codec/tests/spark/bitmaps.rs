//! Bitmaps as Spark writes them, and those that are none.

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use ringrail_codec::spark::FieldError;
use ringrail_codec::spark::shuffle::*;
use roaring::RoaringBitmap;

use crate::stored::{self, bytes, unhex};

fn runs() -> RoaringBitmap {
    (0..10_000).chain(65_530..65_540).collect()
}

fn sparse() -> RoaringBitmap {
    (0..6).map(|i| i * 65_536 * 3 + i).collect()
}

fn bits() -> RoaringBitmap {
    (0..5000).map(|i| i * 13).collect()
}

fn mixed() -> RoaringBitmap {
    (0..100)
        .chain((0..5).map(|i| 65_536 * (i + 1) + 7 * i))
        .collect()
}

#[test]
fn spark_s_bitmaps_are_read() {
    let wire = bytes(&stored::bitmaps(), "merge_statuses");
    let statuses = MergeStatuses::decode(&wire).expect("good");
    assert_eq!(statuses.bitmaps.len(), 5);
    let expected = [runs(), sparse(), bits(), mixed(), RoaringBitmap::new()];
    assert_eq!(statuses.bitmaps.to_roaring().expect("good"), expected);
    assert_eq!(
        statuses.reduce_ids.iter().collect::<Vec<_>>(),
        [0, 3, 4, 9, 10]
    );
    let sizes: Vec<i64> = statuses.sizes.iter().collect();
    assert_eq!(sizes, [1, 5_000_000_000, 0, -1, i64::MAX]);

    let body = bytes(&stored::bitmaps(), "chunks");
    let chunks = Bitmaps::of_chunks(&body).expect("good");
    assert_eq!(
        chunks.to_roaring().expect("good"),
        [runs(), sparse(), mixed()]
    );
    assert_eq!(chunks.received().count(), 3);
}

#[test]
fn bitmaps_are_written_as_spark_writes_them() {
    let mut bitmaps = [runs(), sparse(), bits(), mixed(), RoaringBitmap::new()];
    for bitmap in &mut bitmaps {
        // Spark calls this `runOptimize`, before it writes a bitmap.
        bitmap.optimize();
    }
    let statuses = MergeStatuses {
        shuffle_id: 7,
        shuffle_merge_id: 1,
        bitmaps: Bitmaps::from(&bitmaps[..]),
        reduce_ids: Ints::from(&[0, 3, 4, 9, 10][..]),
        sizes: Longs::from(&[1, 5_000_000_000, 0, -1, i64::MAX][..]),
    };
    let mut out = vec![0; statuses.encoded_len()];
    statuses.encode(&mut out).expect("room");
    assert_eq!(out, bytes(&stored::bitmaps(), "merge_statuses"));
    assert_eq!(MergeStatuses::decode(&out), Ok(statuses));
}

fn refusal(hex: &str) -> FieldError {
    let body = unhex(hex);
    let found = Bitmaps::of_chunks(&body).and_then(|bitmaps| bitmaps.to_roaring());
    found.expect_err(hex)
}

#[test]
fn what_is_no_bitmap_is_refused() {
    assert!(
        refusal("00000000")
            .to_string()
            .contains("does not begin as one")
    );
    assert!(
        refusal("3a300000 01000100")
            .to_string()
            .contains("more containers")
    );
    assert!(matches!(
        refusal("3a300000 00000100"),
        FieldError::Truncated { left: 0, .. }
    ));
    assert!(matches!(
        refusal("3b30ffff"),
        FieldError::Truncated { left: 0, .. }
    ));
    // Two values that do not grow; a run of runs of which none is there; a run beyond its container.
    let twice = refusal("3a300000 01000000 00000100 10000000 0500 0500");
    assert!(
        twice.to_string().contains("contradict themselves"),
        "{twice}"
    );
    assert!(matches!(
        refusal("3b300000 01 00000000 ffff"),
        FieldError::Truncated { .. }
    ));
    let beyond = refusal("3b300000 01 00000200 0100 ffff0200");
    assert!(
        beyond.to_string().contains("contradict themselves"),
        "{beyond}"
    );
}

proptest! {
    #[test]
    fn any_bitmaps_round_trip(
        values in vec(btree_set(0..300_000u32, 0..200), 0..5),
        from in any::<u32>(),
        len in 0..100_000u32,
        optimize in any::<bool>(),
    ) {
        let mut bitmaps: Vec<RoaringBitmap> =
            values.into_iter().map(RoaringBitmap::from_iter).collect();
        bitmaps.push((from..from.saturating_add(len)).collect());
        if optimize {
            bitmaps.iter_mut().for_each(|bitmap| { bitmap.optimize(); });
        }
        let mut body = Vec::new();
        Bitmaps::from(&bitmaps[..]).append_to(&mut body);
        let read = Bitmaps::of_chunks(&body).expect("good");
        prop_assert_eq!(read, Bitmaps::from(&bitmaps[..]));
        prop_assert_eq!(read.to_roaring().expect("good"), bitmaps);
    }

    #[test]
    fn damaged_bitmaps_are_refused_or_read(
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut body = bytes(&stored::bitmaps(), "chunks");
        let at = at.index(body.len());
        body[at] = with;
        body.truncate(cut.index(body.len() + 1));
        if let Ok(bitmaps) = Bitmaps::of_chunks(&body) {
            let _ = bitmaps.to_roaring();
            let len: usize = bitmaps.received().map(|bitmap| bitmap.bytes().len()).sum();
            prop_assert_eq!((len, bitmaps.received().count()), (body.len(), bitmaps.len()));
        }
    }
}
