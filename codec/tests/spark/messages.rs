//! Every shuffle message against the bytes that Spark writes for it, in both directions.

use ringrail_codec::spark::FieldError;
use ringrail_codec::spark::shuffle::*;
use roaring::RoaringBitmap;
use serde_json::Value;

use crate::stored::{self, bytes, list, named, number, text, unhex};

/// Keeps what a fixture's message borrows, to the end of the test program.
fn keep<T>(values: Vec<T>) -> &'static [T] {
    values.leak()
}

fn texts(of: &Value, name: &str) -> Strings<'static> {
    let texts: Vec<String> = list(of, name)
        .iter()
        .map(|text| text.as_str().expect("a text").to_owned())
        .collect();
    Strings::from(keep(texts))
}

fn longs(of: &Value, name: &str) -> Vec<i64> {
    list(of, name)
        .iter()
        .map(|one| one.as_i64().expect("a number"))
        .collect()
}

fn ints(of: &Value) -> Vec<i32> {
    let all = of.as_array().expect("a list");
    all.iter()
        .map(|one| one.as_i64().expect("a number") as i32)
        .collect()
}

fn int_lists(of: &Value, name: &str) -> IntLists<'static> {
    IntLists::from(keep(list(of, name).iter().map(ints).collect::<Vec<_>>()))
}

/// The message that a fixture tells of.
fn message(fixture: &Value) -> Message<'_> {
    let kind = MessageKind::try_from(number(fixture, "type") as u8).expect("a kind");
    let of = &fixture["fields"];
    let app_id = || text(of, "app_id");
    let int = |name| number(of, name) as i32;
    match kind {
        MessageKind::StreamHandle => Message::StreamHandle(StreamHandle {
            stream_id: number(of, "stream_id"),
            num_chunks: int("num_chunks"),
        }),
        MessageKind::RegisterDriver => Message::RegisterDriver(RegisterDriver {
            app_id: app_id(),
            heartbeat_timeout_ms: number(of, "heartbeat_timeout_ms"),
        }),
        MessageKind::ShuffleServiceHeartbeat => {
            Message::ShuffleServiceHeartbeat(ShuffleServiceHeartbeat { app_id: app_id() })
        }
        MessageKind::BlocksRemoved => Message::BlocksRemoved(BlocksRemoved {
            num_removed_blocks: int("num_removed_blocks"),
        }),
        MessageKind::CorruptionCause => {
            assert_eq!(text(of, "cause"), "NETWORK_ISSUE (ordinal 1)");
            Message::CorruptionCause(CorruptionCause {
                cause: Cause::NetworkIssue,
            })
        }
        MessageKind::BlockPushReturnCode => Message::BlockPushReturnCode(BlockPushReturnCode {
            return_code: PushOutcome::ALL[int("return_code") as usize],
            failure_block_id: text(of, "failure_block_id"),
        }),
        MessageKind::UploadBlockStream => Message::UploadBlockStream(UploadBlockStream {
            block_id: text(of, "block_id"),
            metadata: keep(bytes(of, "metadata")),
        }),
        MessageKind::LocalDirsForExecutors => local_dirs(of),
        MessageKind::GetLocalDirsForExecutors => {
            let (app_id, exec_ids) = (app_id(), texts(of, "exec_ids"));
            Message::GetLocalDirsForExecutors(GetLocalDirsForExecutors { app_id, exec_ids })
        }
        MessageKind::PushBlockStream
        | MessageKind::FinalizeShuffleMerge
        | MessageKind::RemoveShuffleMerge
        | MessageKind::MergeStatuses => merge_message(kind, of),
        _ => executor_message(kind, of),
    }
}

fn merge_message(kind: MessageKind, of: &Value) -> Message<'_> {
    let int = |name| number(of, name) as i32;
    let (shuffle_id, shuffle_merge_id) = (int("shuffle_id"), int("shuffle_merge_id"));
    if kind == MessageKind::MergeStatuses {
        let bitmaps: Vec<RoaringBitmap> = list(of, "bitmaps")
            .iter()
            .map(|values| ints(values).into_iter().map(|value| value as u32).collect())
            .collect();
        return Message::MergeStatuses(MergeStatuses {
            shuffle_id,
            shuffle_merge_id,
            bitmaps: Bitmaps::from(keep(bitmaps)),
            reduce_ids: Ints::from(keep(ints(&of["reduce_ids"]))),
            sizes: Longs::from(keep(longs(of, "sizes"))),
        });
    }
    let (app_id, app_attempt_id) = (text(of, "app_id"), int("app_attempt_id"));
    match kind {
        MessageKind::PushBlockStream => Message::PushBlockStream(PushBlockStream {
            app_id,
            app_attempt_id,
            shuffle_id,
            shuffle_merge_id,
            map_index: int("map_index"),
            reduce_id: int("reduce_id"),
            index: int("index"),
        }),
        MessageKind::FinalizeShuffleMerge => Message::FinalizeShuffleMerge(FinalizeShuffleMerge {
            app_id,
            app_attempt_id,
            shuffle_id,
            shuffle_merge_id,
        }),
        _ => Message::RemoveShuffleMerge(RemoveShuffleMerge {
            app_id,
            app_attempt_id,
            shuffle_id,
            shuffle_merge_id,
        }),
    }
}

fn executor_message(kind: MessageKind, of: &Value) -> Message<'_> {
    let (app_id, exec_id) = (text(of, "app_id"), text(of, "exec_id"));
    let int = |name| number(of, name) as i32;
    match kind {
        MessageKind::OpenBlocks => {
            let block_ids = texts(of, "block_ids");
            Message::OpenBlocks(OpenBlocks {
                app_id,
                exec_id,
                block_ids,
            })
        }
        MessageKind::RemoveBlocks => {
            let block_ids = texts(of, "block_ids");
            Message::RemoveBlocks(RemoveBlocks {
                app_id,
                exec_id,
                block_ids,
            })
        }
        MessageKind::UploadBlock => Message::UploadBlock(UploadBlock {
            app_id,
            exec_id,
            block_id: text(of, "block_id"),
            metadata: keep(bytes(of, "metadata")),
            block_data: keep(bytes(of, "block_data")),
        }),
        MessageKind::RegisterExecutor => Message::RegisterExecutor(RegisterExecutor {
            app_id,
            exec_id,
            local_dirs: texts(of, "local_dirs"),
            sub_dirs_per_local_dir: int("sub_dirs_per_local_dir"),
            shuffle_manager: text(of, "shuffle_manager"),
        }),
        MessageKind::FetchShuffleBlocks => Message::FetchShuffleBlocks(FetchShuffleBlocks {
            app_id,
            exec_id,
            shuffle_id: int("shuffle_id"),
            map_ids: Longs::from(keep(longs(of, "map_ids"))),
            reduce_ids: int_lists(of, "reduce_ids"),
            batch_fetch_enabled: of["batch_fetch_enabled"].as_bool().expect("a bool"),
        }),
        MessageKind::FetchShuffleBlockChunks => {
            Message::FetchShuffleBlockChunks(FetchShuffleBlockChunks {
                app_id,
                exec_id,
                shuffle_id: int("shuffle_id"),
                shuffle_merge_id: int("shuffle_merge_id"),
                reduce_ids: Ints::from(keep(ints(&of["reduce_ids"]))),
                chunk_ids: int_lists(of, "chunk_ids"),
            })
        }
        MessageKind::DiagnoseCorruption => Message::DiagnoseCorruption(DiagnoseCorruption {
            app_id,
            exec_id,
            shuffle_id: int("shuffle_id"),
            map_id: number(of, "map_id"),
            reduce_id: int("reduce_id"),
            checksum: number(of, "checksum"),
            algorithm: text(of, "algorithm"),
        }),
        other => panic!("{other} has no executor"),
    }
}

fn local_dirs(of: &Value) -> Message<'static> {
    let by_exec = of["local_dirs_by_exec"].as_object().expect("a map");
    let execs: Vec<String> = by_exec.keys().cloned().collect();
    let dirs: Vec<Vec<String>> = by_exec
        .values()
        .map(|dirs| {
            let dirs = dirs.as_array().expect("a list");
            dirs.iter()
                .map(|dir| dir.as_str().expect("a text").to_owned())
                .collect()
        })
        .collect();
    Message::LocalDirsForExecutors(LocalDirsForExecutors {
        exec_ids: Strings::from(keep(execs)),
        num_dirs: Ints::from(keep(dirs.iter().map(|dirs| dirs.len() as i32).collect())),
        dirs: Strings::from(keep(dirs.concat())),
    })
}

#[test]
fn spark_s_messages_are_written_and_read_byte_for_byte() {
    let stored = stored::frames();
    let mut kinds = Vec::new();
    for fixture in list(&stored, "shuffle_bodies") {
        let (message, wire) = (message(fixture), bytes(fixture, "hex"));
        let mut out = vec![0xcc; message.encoded_len() + 8];
        let len = message.encode(&mut out).expect("room");
        assert_eq!(out[..len], wire, "{}", fixture["name"]);
        assert_eq!(
            Message::decode(&wire).as_ref(),
            Ok(&message),
            "{}",
            fixture["name"]
        );
        kinds.push(message.kind());
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, MessageKind::ALL);
}

/// A message that was read is written again as it came.
#[test]
fn views_are_written_as_they_were_received() {
    let stored = stored::frames();
    for fixture in list(&stored, "shuffle_bodies") {
        let wire = bytes(fixture, "hex");
        let message = Message::decode(&wire).expect("good");
        let mut out = vec![0; message.encoded_len()];
        message.encode(&mut out).expect("room");
        assert_eq!(out, wire);
        let mut longer = wire.clone();
        longer.extend(b"more");
        assert_eq!(
            Message::decode(&longer),
            Ok(message),
            "Spark ignores what is behind"
        );
        for len in 0..wire.len() {
            assert!(
                Message::decode(&wire[..len]).is_err(),
                "{} cut",
                fixture["name"]
            );
        }
    }
}

#[test]
fn lists_are_read_where_they_lie() {
    let stored = stored::frames();
    let bodies = list(&stored, "shuffle_bodies");
    let wire = bytes(named(bodies, "FetchShuffleBlocks"), "hex");
    let fetch = FetchShuffleBlocks::decode(&wire).expect("good");
    assert_eq!(fetch.map_ids.iter().collect::<Vec<_>>(), [1, 5_000_000_000]);
    assert_eq!(
        (fetch.map_ids.get(1), fetch.map_ids.get(2)),
        (Some(5_000_000_000), None)
    );
    let reduces: Vec<Vec<i32>> = fetch
        .reduce_ids
        .iter()
        .map(|ids| ids.iter().collect())
        .collect();
    assert_eq!(reduces, [vec![2, 3], vec![4]]);
    assert_eq!(fetch.reduce_ids.iter().len(), 2);

    let wire = bytes(named(bodies, "LocalDirsForExecutors"), "hex");
    let dirs = LocalDirsForExecutors::decode(&wire).expect("good");
    let dirs: Vec<(&str, Vec<&str>)> = dirs
        .by_executor()
        .map(|(exec, dirs)| (exec, dirs.collect()))
        .collect();
    assert_eq!(dirs, [("1", vec!["/d/a"]), ("2", vec!["/d/b", "/d/c"])]);
}

#[test]
fn the_application_of_a_message_is_told() {
    let stored = stored::frames();
    for fixture in list(&stored, "shuffle_bodies") {
        let wire = bytes(fixture, "hex");
        let message = Message::decode(&wire).expect("good");
        assert_eq!(
            message.app_id(),
            fixture["fields"]["app_id"].as_str(),
            "{}",
            fixture["name"]
        );
    }
}

fn refusal(hex: &str) -> MessageError {
    let wire = unhex(hex);
    Message::decode(&wire).expect_err(hex)
}

#[test]
fn what_is_no_message_is_refused() {
    assert_eq!(refusal(""), MessageError::Empty);
    assert_eq!(refusal("14").to_string(), "Unknown message type: 20");
    assert_eq!(refusal("80").to_string(), "Unknown message type: -128");
    let error = refusal("1105").to_string();
    assert_eq!(
        error,
        "malformed CorruptionCause: cause is 5; it must be 0 to 4"
    );
    let error = refusal("120500000000").to_string();
    assert_eq!(
        error,
        "malformed BlockPushReturnCode: return_code is 5; it must be 0 to 4"
    );
    let kinds = (MessageKind::StreamHandle, MessageKind::BlocksRemoved);
    let error = StreamHandle::decode(&unhex("0800000001"));
    assert_eq!(
        error,
        Err(MessageError::WrongKind {
            expected: kinds.0,
            found: kinds.1
        })
    );
    // Counts that no bytes stand behind.
    let error = refusal("00 00000001 61 00000001 32 7fffffff");
    let field = FieldError::Truncated {
        field: "block_ids",
        need: 4 * 0x7fff_ffff,
        left: 0,
    };
    assert_eq!(
        error,
        MessageError::Malformed {
            kind: MessageKind::OpenBlocks,
            field
        }
    );
    let error = refusal("00 00000001 61 00000001 32 ffffffff").to_string();
    assert_eq!(error, "malformed OpenBlocks: block_ids has the length -1");
}

#[test]
fn lists_that_belong_together_are_of_one_length() {
    // One map, no list of reduces: Spark takes it, and fails when it serves it.
    let error = refusal("09 00000000 00000000 00000000 00000001 0000000000000001 00000000 00");
    assert!(
        error.to_string().contains("the number of map_ids"),
        "{error}"
    );
    // One executor with two directories of which one is there, and with less than none.
    let error = refusal("0b 00000001 00000001 31 00000001 00000002 00000001 00000001 61");
    assert!(error.to_string().contains("the number of dirs"), "{error}");
    let error = refusal("0b 00000001 00000001 31 00000001 ffffffff 00000000");
    assert!(
        error.to_string().contains("num_dirs has the length -1"),
        "{error}"
    );
    let error = refusal("0b 00000001 00000001 31 00000000 00000000");
    assert!(
        error.to_string().contains("the number of exec_ids"),
        "{error}"
    );
    let error = refusal("0e 00000000 00000000 00000000 00000001 00000002 00000000");
    assert!(
        error.to_string().contains("the number of bitmaps"),
        "{error}"
    );
    let error = refusal("0f 00000000 00000000 00000000 00000000 00000001 00000001 00000000");
    assert!(
        error.to_string().contains("the number of reduce_ids"),
        "{error}"
    );
}

#[test]
fn a_buffer_that_is_too_short_is_left_alone() {
    let mut out = [7; 4];
    let removed = BlocksRemoved {
        num_removed_blocks: 1,
    };
    let error = removed.encode(&mut out).expect_err("one byte short");
    assert_eq!(error.to_string(), "5 bytes are needed where 4 are left");
    assert_eq!(out, [7; 4]);
}
