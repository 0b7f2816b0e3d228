//! Messages and endpoints that many properties are tested with.

use std::sync::mpsc;

use ringrail::rpc::{
    DeferredCall, EndpointContext, FnEndpoint, Handle, Received, RpcAddress, RpcCallContext,
    RpcEndpoint, RpcEndpointRef, RpcError,
};

use crate::ground::{Gate, Journal};

macro_rules! message {
    ($(#[$meta:meta])* $name:ident { $($field:ident: $kind:ty),* } -> $reply:ty, $text:literal) => {
        $(#[$meta])*
        #[derive(::rkyv::Archive, ::rkyv::Serialize, ::rkyv::Deserialize)]
        pub(crate) struct $name { $(pub $field: $kind),* }

        impl ::ringrail::rpc::Message for $name {
            type Reply = $reply;
            const NAME: &'static str = $text;
        }
    };
}
pub(crate) use message;

message! { Echo { n: u64 } -> u64, "test.Echo" }
message! { Say { text: String } -> String, "test.Say" }
message! { Fail { text: String } -> u64, "test.Fail" }
message! { Panic { } -> u64, "test.Panic" }
message! { Later { } -> u64, "test.Later" }
message! { Drop { } -> u64, "test.Drop" }
message! { CallBack { to: RpcEndpointRef, n: u64 } -> u64, "test.CallBack" }
message! { Unknown { } -> u64, "test.Unknown" }

/// Writes down everything that happens to it.
pub(crate) struct Recorder {
    pub(crate) journal: Journal,
    /// The gate that `on_start` waits for.
    pub(crate) start: Option<Gate>,
    pub(crate) fail_in: &'static str,
}

impl Recorder {
    pub(crate) fn new(journal: &Journal) -> Self {
        Self {
            journal: journal.clone(),
            start: None,
            fail_in: "",
        }
    }

    fn hook(&self, name: &'static str, line: String) -> Result<(), RpcError> {
        self.journal.write(line);
        if self.fail_in == name {
            return Err(RpcError::other(format!("{name} fails")));
        }
        Ok(())
    }
}

impl RpcEndpoint for Recorder {
    type Messages = (Echo, Say, Fail, Panic, Drop);

    fn on_start(&mut self, me: &EndpointContext<Self>) -> Result<(), RpcError> {
        assert!(!me.self_ref().name().is_empty());
        if let Some(gate) = &self.start {
            assert!(gate.pass());
        }
        self.hook("on_start", "start".into())
    }

    fn on_error(&mut self, error: RpcError) -> Result<(), RpcError> {
        self.hook("on_error", format!("error: {error}"))
    }

    fn on_connected(&mut self, address: &RpcAddress) -> Result<(), RpcError> {
        self.hook("on_connected", format!("connected: {address}"))
    }

    fn on_disconnected(&mut self, address: &RpcAddress) -> Result<(), RpcError> {
        self.hook("on_disconnected", format!("disconnected: {address}"))
    }

    fn on_network_error(&mut self, _: &RpcError, address: &RpcAddress) -> Result<(), RpcError> {
        self.hook("on_network_error", format!("network error: {address}"))
    }

    fn on_stop(&mut self) -> Result<(), RpcError> {
        self.hook("on_stop", "stop".into())
    }
}

impl Handle<Echo> for Recorder {
    fn handle(
        &mut self,
        echo: Received<'_, Echo>,
        call: RpcCallContext<'_, u64>,
    ) -> Result<(), RpcError> {
        let n = echo.take()?.n;
        self.journal.write(format!("echo {n}"));
        call.reply(n);
        Ok(())
    }
}

impl Handle<Say> for Recorder {
    fn handle(
        &mut self,
        say: Received<'_, Say>,
        call: RpcCallContext<'_, String>,
    ) -> Result<(), RpcError> {
        let text = say.take()?.text;
        self.journal.write(format!("say {text}"));
        call.reply(text);
        Ok(())
    }
}

impl Handle<Fail> for Recorder {
    fn handle(
        &mut self,
        fail: Received<'_, Fail>,
        _: RpcCallContext<'_, u64>,
    ) -> Result<(), RpcError> {
        Err(RpcError::other(fail.take()?.text))
    }
}

impl Handle<Panic> for Recorder {
    fn handle(
        &mut self,
        _: Received<'_, Panic>,
        _: RpcCallContext<'_, u64>,
    ) -> Result<(), RpcError> {
        panic!("as it was told to");
    }
}

impl Handle<Drop> for Recorder {
    fn handle(
        &mut self,
        _: Received<'_, Drop>,
        call: RpcCallContext<'_, u64>,
    ) -> Result<(), RpcError> {
        let _ = call;
        Ok(())
    }
}

/// An endpoint that answers echoes.
pub(crate) fn echo() -> FnEndpoint {
    FnEndpoint::new().on::<Echo>(|echo, call| {
        call.reply(echo.take()?.n);
        Ok(())
    })
}

/// An endpoint that gives its calls away, to be answered by the test; and echoes.
pub(crate) fn giver() -> (FnEndpoint, mpsc::Receiver<DeferredCall<u64>>) {
    let (calls, given) = mpsc::channel();
    let endpoint = echo().on::<Later>(move |_, call| {
        calls.send(call.defer()).unwrap();
        Ok(())
    });
    (endpoint, given)
}

/// An endpoint that asks the endpoint named in the message.
pub(crate) fn caller() -> FnEndpoint {
    FnEndpoint::new().on::<CallBack>(|message, call| {
        let CallBack { to, n } = message.take()?;
        let call = call.defer();
        // Not on this thread, which must not block.
        std::thread::spawn(move || match to.ask_blocking(Echo { n }) {
            Ok(reply) => call.reply(reply),
            Err(error) => call.send_failure(error),
        });
        Ok(())
    })
}
