//! Any message round-trips, whatever its lists hold.

use proptest::collection::vec;
use proptest::prelude::*;
use ringrail_codec::spark::shuffle::*;

fn encode(message: Message<'_>) -> Vec<u8> {
    let mut out = vec![0; message.encoded_len()];
    assert_eq!(message.encode(&mut out), Ok(out.len()));
    out
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    vec("\\PC{0,12}", 0..8)
}

proptest! {
    #[test]
    fn messages_with_texts(
        which in 0..5u8,
        app_id in "\\PC{0,20}",
        exec_id in "\\PC{0,20}",
        texts in texts(),
        number in any::<i32>(),
    ) {
        let (app_id, exec_id, list) = (&*app_id, &*exec_id, Strings::from(&texts[..]));
        let count = [texts.len() as i32];
        let message = match which {
            0 => Message::OpenBlocks(OpenBlocks { app_id, exec_id, block_ids: list }),
            1 => Message::RemoveBlocks(RemoveBlocks { app_id, exec_id, block_ids: list }),
            2 => Message::GetLocalDirsForExecutors(GetLocalDirsForExecutors { app_id, exec_ids: list }),
            3 => Message::LocalDirsForExecutors(LocalDirsForExecutors {
                exec_ids: Strings::from(&["1"][..]),
                num_dirs: Ints::from(&count[..]),
                dirs: list,
            }),
            _ => Message::RegisterExecutor(RegisterExecutor {
                app_id,
                exec_id,
                local_dirs: list,
                sub_dirs_per_local_dir: number,
                shuffle_manager: exec_id,
            }),
        };
        let wire = encode(message);
        prop_assert_eq!(Message::decode(&wire), Ok(message));
        prop_assert_eq!(encode(Message::decode(&wire).expect("good")), wire);
    }

    #[test]
    fn messages_with_numbers(
        maps in vec((any::<i64>(), vec(any::<i32>(), 0..6)), 0..8),
        shuffle_id in any::<i32>(),
        batch_fetch_enabled in any::<bool>(),
        chunks in any::<bool>(),
    ) {
        let (map_ids, reduces): (Vec<i64>, Vec<Vec<i32>>) = maps.into_iter().unzip();
        let borrowed: Vec<&[i32]> = reduces.iter().map(Vec::as_slice).collect();
        let partitions: Vec<i32> = map_ids.iter().map(|id| *id as i32).collect();
        let (app_id, exec_id) = ("app", "exec");
        let message = if chunks {
            Message::FetchShuffleBlockChunks(FetchShuffleBlockChunks {
                app_id,
                exec_id,
                shuffle_id,
                shuffle_merge_id: 1,
                reduce_ids: Ints::from(&partitions[..]),
                chunk_ids: IntLists::from(&borrowed[..]),
            })
        } else {
            Message::FetchShuffleBlocks(FetchShuffleBlocks {
                app_id,
                exec_id,
                shuffle_id,
                map_ids: Longs::from(&map_ids[..]),
                reduce_ids: IntLists::from(&reduces[..]),
                batch_fetch_enabled,
            })
        };
        let wire = encode(message);
        prop_assert_eq!(Message::decode(&wire), Ok(message));
        prop_assert_eq!(encode(Message::decode(&wire).expect("good")), wire);
    }

    #[test]
    fn garbage_is_no_message_or_one_that_can_be_walked(
        kind in 0..21u8,
        bytes in vec(prop_oneof![3 => Just(0u8), 1 => 0..4u8, 1 => any::<u8>()], 0..200),
    ) {
        let mut wire = vec![kind];
        wire.extend(bytes);
        if let Ok(message) = Message::decode(&wire) {
            let again = encode(message);
            // Bools are normalised; everything else is as it came.
            prop_assert!(again.len() <= wire.len());
            prop_assert_eq!(Message::decode(&again), Ok(message));
        }
    }
}
