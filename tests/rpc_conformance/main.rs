//! Properties of every backend of the RPC layer, each test named by its property: Spark's guarantees,
//! and ringrail's stronger ones.
//!
//! The same functions run over the in-process backend and over the engine.

mod actors;
mod asking;
mod backends;
mod blocking;
mod errors;
mod fairness;
mod files;
mod ground;
mod life;
mod many;
mod naming;
mod network;
mod order;
mod outboxes;
mod pressure;
mod refs;
mod retries;
mod shutdown;
mod slow;
mod typing;

macro_rules! properties {
    ($($module:ident: $($name:ident),+;)+) => {
        mod over_local {
            $($(#[test]
            fn $name() {
                crate::$module::$name(crate::ground::Backend::Local);
            })+)+
        }

        mod over_ring {
            $($(#[test]
            fn $name() {
                crate::$module::$name(crate::ground::Backend::Ring);
            })+)+
        }
    };
}

properties! {
    life:
        a_role_has_threads_of_its_own_number,
        on_start_comes_before_messages_sent_before_setup_returned,
        on_stop_comes_once_and_after_what_was_queued,
        an_endpoint_that_is_stopped_at_once_has_both_its_hooks,
        after_stop_sends_are_dropped_and_asks_fail_at_once,
        a_name_set_up_again_leads_to_the_new_endpoint_at_once,
        a_name_set_up_again_by_a_handler_leads_to_the_new_endpoint_at_once,
        refs_follow_a_name_whose_isolated_endpoint_has_ended,
        an_endpoint_is_never_entered_twice_and_loses_nothing_from_64_senders,
        instances_of_a_replicated_endpoint_run_at_the_same_time,
        an_isolated_endpoint_may_block_without_holding_up_others,
        handlers_that_are_futures_keep_the_next_message_waiting;
    errors:
        errors_of_hooks_and_handlers_reach_on_error,
        an_error_in_on_error_is_swallowed_and_the_endpoint_goes_on,
        a_panic_fails_its_call_and_reaches_on_error,
        an_endpoint_without_handlers_refuses_as_spark_does,
        a_message_without_a_handler_is_unsupported_by_name_and_sender,
        a_failure_keeps_its_code_chain_and_retryability,
        a_call_that_is_let_go_fails_at_once,
        a_message_longer_than_allowed_is_refused_with_the_key_named;
    naming:
        a_name_is_taken_once,
        names_that_no_uri_can_hold_are_refused,
        a_lookup_of_nobody_names_the_uri,
        an_ask_of_nobody_says_could_not_find,
        lookups_find_endpoints_by_both_schemes;
    asking:
        the_deadline_is_known_on_whichever_shard_the_endpoint_lives,
        a_timeout_names_address_time_and_key_once,
        a_late_reply_is_ignored,
        the_first_of_two_replies_counts,
        an_aborted_ask_is_retracted,
        a_dropped_ask_is_retracted,
        replies_can_come_later_from_any_thread,
        local_values_are_not_serialised,
        remote_values_are_archives_that_can_be_kept,
        liveness_messages_overtake,
        a_full_inbox_says_so,
        blocking_calls_are_refused_where_endpoints_run,
        messages_of_one_sender_keep_their_order;
    many:
        ten_thousand_endpoints_are_asked_with_a_bound_and_no_thread_per_ask,
        a_repeated_request_is_handled_once_while_its_reply_is_remembered,
        attempts_end_and_the_error_names_message_and_last_cause,
        local_refs_answer_callbacks_and_futures_on_their_thread,
        every_env_tells_what_it_has;
    refs:
        refs_are_equal_by_address_and_name,
        a_ref_in_a_message_reaches_its_endpoint,
        a_ref_of_a_client_mode_peer_leads_back_over_its_connection,
        a_client_mode_ref_passed_to_a_third_party_fails_clearly,
        a_ref_that_comes_home_is_local,
        refs_in_other_bytes_need_a_scope;
    network:
        every_endpoint_is_told_of_connections_once_per_address,
        refs_survive_the_loss_of_their_connection;
    outboxes:
        messages_that_wait_for_a_connection_are_sent_in_order,
        a_failed_connection_fails_all_that_waited_and_the_next_message_connects_again;
    files:
        files_jars_and_directories_are_fetched_byte_for_byte,
        channels_are_read_by_futures_too,
        a_name_stands_for_one_path,
        no_name_leads_outside_of_a_directory,
        a_missing_file_fails_the_reader,
        an_env_that_does_not_listen_gives_out_nothing;
    shutdown:
        after_shutdown_everything_fails_with_sparks_words,
        shutdown_with_work_in_flight_resolves_every_future,
        asks_made_while_envs_shut_down_all_resolve,
        an_isolated_endpoint_that_is_being_stopped_ends_before_its_env,
        a_peer_that_dies_fails_what_it_was_asked;
    retries:
        protection_that_an_env_does_not_have_is_refused,
        a_request_that_an_inbox_refused_is_handled_when_it_is_repeated,
        a_request_that_waited_too_long_is_handled_for_its_repetition,
        catch_alls_are_asked_again_and_remembered,
        no_more_repeatable_requests_are_in_handling_than_allowed;
    pressure:
        what_send_took_is_handled_or_told_as_lost,
        a_send_that_waits_loses_nothing,
        a_send_that_waits_ends_with_its_env_and_can_be_let_go,
        a_full_inbox_holds_up_its_peer_and_loses_nothing,
        an_endpoint_hears_of_the_end_behind_messages_that_waited_for_room,
        what_waits_too_long_for_room_is_told_to_both_sides,
        messages_to_nobody_are_told_to_their_sender;
    order:
        connections_and_messages_come_in_their_order_on_every_thread,
        a_sender_keeps_its_order_whichever_way_it_sends;
    blocking:
        shutdown_ends_what_a_blocked_endpoint_was_asked,
        isolated_endpoints_may_wait_for_others_but_not_for_themselves,
        a_blocked_shard_does_not_hold_up_timeouts,
        stopping_a_remote_namesake_stops_nothing_here,
        isolated_endpoints_set_up_during_shutdown_leave_no_thread;
    typing:
        replies_may_borrow_what_was_received,
        one_name_for_two_messages_is_refused,
        a_message_that_is_another_type_to_its_sender_is_refused,
        a_handlers_future_is_polled_when_it_is_woken_and_not_before;
    backends:
        a_registered_backend_makes_envs_that_find_each_other;
    fairness:
        a_flooded_endpoint_does_not_starve_others_of_its_thread,
        what_waits_in_an_inbox_is_seen_to_age;
}
