//! Order: of connections and messages, and of what one sender sends.

use ringrail::rpc::{
    EndpointOptions, Handle, Placement, Received, RpcCallContext, RpcEndpoint, RpcEndpointRef,
    RpcError,
};

use crate::actors::{Echo, Recorder, Say, message};
use crate::ground::{Backend, Journal, eventually};

message! { Mixed { to: RpcEndpointRef } -> u64, "guarantees.Mixed" }

pub(crate) fn connections_and_messages_come_in_their_order_on_every_thread(backend: Backend) {
    let server = backend.env("server");
    let journals: Vec<_> = (0..3)
        .map(|at| {
            let journal = Journal::default();
            let recorder = Recorder::new(&journal);
            let placement = match at {
                2 => Placement::Isolated,
                at => Placement::Shard(at),
            };
            let options = EndpointOptions {
                placement,
                ..EndpointOptions::default()
            };
            let name = format!("recorder{at}");
            let recorder = server.setup_endpoint_with(&name, options, move || recorder);
            recorder.unwrap().ask_blocking(Echo { n: 0 }).unwrap();
            journal
        })
        .collect();
    for round in 1..=30 {
        let peer = backend.env("peer");
        let own = peer.address().unwrap().clone();
        for at in 0..3 {
            let there = peer.ref_at(server.address().unwrap(), &format!("recorder{at}"));
            let there = there.unwrap();
            for _ in 0..20 {
                there.send(Echo { n: round }).unwrap();
            }
            let text = format!("{round}");
            assert_eq!(
                there.ask_blocking(Say { text: text.clone() }).unwrap(),
                text
            );
        }
        drop(peer);
        for journal in &journals {
            journal.wait_line(&format!("disconnected: {own}"));
            let lines = journal.lines();
            let at = |line: &str| lines.iter().rposition(|it| it == line).unwrap();
            let connected = at(&format!("connected: {own}"));
            let first = lines
                .iter()
                .position(|it| *it == format!("echo {round}"))
                .unwrap();
            let last = at(&format!("say {round}"));
            let disconnected = at(&format!("disconnected: {own}"));
            assert!(connected < first, "round {round}: {lines:?}");
            assert!(last < disconnected, "round {round}: {lines:?}");
        }
    }
}

/// Sends to an endpoint of its own thread, by turns through a ref and directly.
struct Alternating;

impl RpcEndpoint for Alternating {
    type Messages = (Mixed,);
}

impl Handle<Mixed> for Alternating {
    fn handle(
        &mut self,
        mixed: Received<'_, Mixed>,
        call: RpcCallContext<'_, u64>,
    ) -> Result<(), RpcError> {
        let to = mixed.take()?.to;
        let direct = to.as_local();
        for n in 1..=100 {
            match &direct {
                Some(direct) if n % 2 == 0 => direct.send(Echo { n })?,
                _ => to.send(Echo { n })?,
            }
        }
        call.reply(u64::from(direct.is_some()));
        Ok(())
    }
}

pub(crate) fn a_sender_keeps_its_order_whichever_way_it_sends(backend: Backend) {
    let (env, peer) = backend.pair();
    let journal = Journal::default();
    let recorder = Recorder::new(&journal);
    let made = env.setup_endpoint_with("recorder", EndpointOptions::on_shard(0), move || recorder);
    let here = made.unwrap().any();
    let far = Journal::default();
    peer.setup_endpoint("recorder", Recorder::new(&far))
        .unwrap();
    let there = env.ref_at(peer.address().unwrap(), "recorder").unwrap();
    assert_eq!(there.ask_blocking(Echo { n: 0 }).unwrap(), 0);
    let expected: Vec<_> = (1..=100).map(|n| format!("echo {n}")).collect();
    let mut direct = 0;
    for shard in 0..2 {
        let name = format!("sender{shard}");
        let options = EndpointOptions::on_shard(shard);
        let sender = env.setup_endpoint_with(&name, options, || Alternating);
        let sender = sender.unwrap();
        for (to, journal) in [(&here, &journal), (&there, &far)] {
            let echoes = || {
                let mut lines = journal.own_lines();
                lines.retain(|line| line.starts_with("echo ") && line != "echo 0");
                lines
            };
            let before = echoes().len();
            direct += sender.ask_blocking(Mixed { to: to.clone() }).unwrap();
            eventually("all have come", || echoes().len() == before + 100);
            assert_eq!(echoes()[before..], expected);
        }
    }
    assert_eq!(
        direct, 2,
        "each was sent to directly from one of the shards"
    );
}
