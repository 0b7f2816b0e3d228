//! Endpoints made of plain functions.

use std::any::Any;

use super::RpcError;
use super::accepts::{Accepts, Dynamic};
use super::call::RpcCallContext;
use super::endpoint::RpcEndpoint;
use super::message::Message;
use super::received::Received;
use super::route::{RouteTable, Run};

/// A function that handles messages of one type.
type Function<M> = Box<
    dyn FnMut(Received<'_, M>, RpcCallContext<'_, <M as Message>::Reply>) -> Result<(), RpcError>
        + Send,
>;

/// An endpoint of functions, one per message type.
///
/// ```
/// # use ringrail::rpc::{FnEndpoint, Message, RpcEnv};
/// # use rkyv::{Archive, Deserialize, Serialize};
/// #[derive(Archive, Serialize, Deserialize)]
/// struct Double(u64);
/// impl Message for Double {
///     type Reply = u64;
///     const NAME: &'static str = "maths.Double";
/// }
///
/// let env = RpcEnv::builder("maths").backend("local").build()?;
/// let maths = FnEndpoint::new().on::<Double>(|number, call| {
///     call.reply(2 * number.take()?.0);
///     Ok(())
/// });
/// let maths = env.setup_endpoint("maths", maths)?;
/// assert_eq!(maths.ask(Double(21)).wait()?, 42);
/// # Ok::<(), ringrail::rpc::RpcError>(())
/// ```
#[derive(Default)]
pub struct FnEndpoint {
    functions: Vec<Box<dyn Any + Send>>,
    routes: Vec<fn(&mut RouteTable<FnEndpoint>)>,
}

impl FnEndpoint {
    /// Without functions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Handles `M` by a function. Of two for the same type, the first counts.
    #[must_use]
    pub fn on<M: Message>(
        mut self,
        function: impl FnMut(Received<'_, M>, RpcCallContext<'_, M::Reply>) -> Result<(), RpcError>
        + Send
        + 'static,
    ) -> Self {
        let function: Function<M> = Box::new(function);
        self.functions.push(Box::new(function));
        self.routes
            .push(|table| table.add::<M>(Run::Now(call::<M>)));
        self
    }
}

fn call<M: Message>(
    endpoint: &mut FnEndpoint,
    index: usize,
    message: Received<'_, M>,
    call: RpcCallContext<'_, M::Reply>,
) -> Result<(), RpcError> {
    let function = endpoint.functions.get_mut(index);
    match function.and_then(|function| function.downcast_mut::<Function<M>>()) {
        Some(function) => function(message, call),
        None => Err(RpcError::other("the function's place is taken")),
    }
}

impl RpcEndpoint for FnEndpoint {
    type Messages = ();

    fn routes(&self) -> RouteTable<Self> {
        let mut table = RouteTable::new();
        for add in &self.routes {
            add(&mut table);
        }
        table
    }
}

debug_text!(
    FnEndpoint,
    |this| "FnEndpoint({} functions)",
    this.functions.len()
);

/// An endpoint of one function.
pub fn endpoint_fn<M: Message>(
    function: impl FnMut(Received<'_, M>, RpcCallContext<'_, M::Reply>) -> Result<(), RpcError>
    + Send
    + 'static,
) -> FnEndpoint {
    FnEndpoint::new().on::<M>(function)
}

impl<M: Message> Accepts<M, Dynamic> for FnEndpoint {}
