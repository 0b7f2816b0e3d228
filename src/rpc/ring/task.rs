//! A dispatcher as a task of its shard.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ringrail_transport::shard::{ShardTask, TaskContext, TaskTimer};
use ringrail_transport::{Engine, ShardHandle};

use crate::rpc::clock;
use crate::rpc::dispatcher::Dispatcher;
use crate::rpc::error::RpcError;
use crate::rpc::shared::EnvShared;
use crate::rpc::thread::{Executor, ThreadHandle, ThreadWaker};

use super::failed;

/// Wakes a shard.
struct ShardWaker(ShardHandle);

impl ThreadWaker for ShardWaker {
    fn wake(&self) {
        self.0.notify();
    }
}

/// The shard, for its dispatcher.
#[derive(Default)]
struct ShardExecutor {
    context: OnceCell<TaskContext>,
    timer: Cell<Option<TaskTimer>>,
}

impl Executor for Rc<ShardExecutor> {
    #[inline]
    fn now_ns(&self) -> u64 {
        match self.context.get() {
            Some(context) => context.now_ns(),
            // While it is being set up.
            None => clock::now_ns(),
        }
    }

    fn arm(&self, at_ns: Option<u64>) {
        let Some(context) = self.context.get() else {
            return;
        };
        if let Some(timer) = self.timer.take() {
            context.cancel_timer(timer);
        }
        if let Some(at_ns) = at_ns {
            let after = Duration::from_nanos(at_ns.saturating_sub(context.now_ns()));
            self.timer.set(context.set_timer(after, 0));
        }
    }

    fn rouse(&self) {
        if let Some(context) = self.context.get() {
            context.rouse();
        }
    }
}

/// A dispatcher in the turns of its shard.
struct DispatcherTask {
    dispatcher: Rc<Dispatcher>,
    host: Rc<ShardExecutor>,
}

impl DispatcherTask {
    fn turn(&self) {
        self.dispatcher.turn();
        if self.dispatcher.has_ended() {
            self.host.arm(None);
            if let Some(context) = self.host.context.get() {
                context.remove();
            }
        }
    }
}

impl ShardTask for DispatcherTask {
    fn run(&self) {
        self.turn();
    }

    fn has_work(&self) -> bool {
        self.dispatcher.has_work()
    }

    fn on_timer(&self, _: u32) {
        self.turn();
    }

    fn on_stop(&self) {
        self.dispatcher.abandon();
    }
}

/// Starts a dispatcher on every shard of the engine.
pub(super) fn start_dispatchers(
    env: &Arc<EnvShared>,
    engine: &Engine,
) -> Result<Vec<Arc<ThreadHandle>>, RpcError> {
    let shards = engine.shards();
    let hosts = shards
        .iter()
        .map(|shard| start_dispatcher(env, engine, shard));
    hosts.collect()
}

fn start_dispatcher(
    env: &Arc<EnvShared>,
    engine: &Engine,
    shard: &ShardHandle,
) -> Result<Arc<ThreadHandle>, RpcError> {
    let handle = Arc::new(ThreadHandle::new(
        format!("{}-{}", env.name(), shard.index()),
        env.settings.mailbox_capacity,
        false,
        Box::new(ShardWaker(shard.clone())),
    ));
    let (env, of_dispatcher) = (Arc::clone(env), Arc::clone(&handle));
    let added = engine.run_on(shard.index(), move |shard| {
        let host = Rc::new(ShardExecutor::default());
        let dispatcher = Dispatcher::new(&env, of_dispatcher, Box::new(Rc::clone(&host)));
        let task = DispatcherTask {
            dispatcher,
            host: Rc::clone(&host),
        };
        let context = shard.add_task(Rc::new(task));
        let added = context.is_some();
        if let Some(context) = context {
            assert!(
                host.context.set(context).is_ok(),
                "a dispatcher is one task"
            );
        }
        added
    });
    match added {
        Ok(true) => Ok(handle),
        Ok(false) => Err(failed("the shard has as many tasks as it can")),
        Err(error) => Err(failed(&error.to_string())),
    }
}
