//! Shuffle messages and chunk bitmaps: what is accepted means exactly its bytes, and can be walked to its
//! end.

use ringrail_codec::spark::shuffle::*;

/// Reads `data` as a message and as the bitmaps of chunks.
pub(crate) fn check(data: &[u8]) {
    match Message::decode(data) {
        Ok(message) => check_message(&message, data),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(bitmaps) = Bitmaps::of_chunks(data) {
        check_bitmaps(&bitmaps);
        let mut again = Vec::new();
        bitmaps.append_to(&mut again);
        assert_eq!(again, data);
    }
}

fn check_message(message: &Message<'_>, data: &[u8]) {
    let mut again = vec![0; message.encoded_len()];
    assert_eq!(message.encode(&mut again), Ok(again.len()));
    assert_eq!(Message::decode(&again).as_ref(), Ok(message));
    let mut data = data[..again.len()].to_vec();
    match message {
        Message::FetchShuffleBlocks(fetch) => {
            // Every byte but 0 is true.
            let last = data.last_mut().expect("a bool");
            *last = u8::from(*last != 0);
            assert_eq!(fetch.map_ids.len(), fetch.reduce_ids.iter().count());
        }
        Message::LocalDirsForExecutors(dirs) => {
            let sum: usize = dirs.by_executor().map(|(_, dirs)| dirs.count()).sum();
            assert_eq!(sum, dirs.dirs.len());
        }
        Message::OpenBlocks(open) => {
            assert_eq!(open.block_ids.iter().count(), open.block_ids.len())
        }
        Message::FetchShuffleBlockChunks(fetch) => {
            let ids: usize = fetch.chunk_ids.iter().map(|ids| ids.iter().count()).sum();
            assert!(ids * 4 <= data.len());
        }
        Message::MergeStatuses(statuses) => check_bitmaps(&statuses.bitmaps),
        _ => {}
    }
    assert_eq!(again, data);
}

fn check_bitmaps(bitmaps: &Bitmaps<'_>) {
    assert_eq!(bitmaps.received().count(), bitmaps.len());
    for bitmap in bitmaps.received() {
        let Ok(read) = bitmap.to_roaring() else {
            continue;
        };
        assert!(read.len() <= 1 << 32);
        let one = [read];
        let mut again = Vec::new();
        Bitmaps::from(&one[..]).append_to(&mut again);
        let back = Bitmaps::of_chunks(&again).expect("just written");
        assert_eq!(back.to_roaring().expect("just written"), one);
    }
}
