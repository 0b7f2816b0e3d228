//! Asking again.

use std::time::Duration;

use super::accepts::Accepts;
use super::ask::block_on;
use super::clock;
use super::endpoint_ref::RpcEndpointRef;
use super::error::RpcError;
use super::message::Message;
use super::pending_ask::SendOptions;
use super::shared::{Sleep, next_serial};
use super::target::Place;

/// A token that no other ask of any env has.
fn fresh_token(env: u64) -> u64 {
    // The finalizer of SplitMix64, a bijection: within an env no two are equal.
    let mut token = env.wrapping_add(next_serial().wrapping_mul(0x9e37_79b9_7f4a_7c15));
    token = (token ^ token >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    token = (token ^ token >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    token ^ token >> 31
}

/// Whether another attempt may help.
fn may_help<E>(to: &RpcEndpointRef<E>, error: &RpcError) -> bool {
    match error {
        RpcError::EnvStopped { .. }
        | RpcError::Encode { .. }
        | RpcError::WouldBlock { .. }
        | RpcError::NoListenAddress => false,
        // Within an env nothing is lost: the endpoint still has it.
        RpcError::TimedOut(_) => !matches!(to.target().place(), Place::Here(_)),
        _ => true,
    }
}

/// Asks until there is a reply, or the attempts are used up.
pub(crate) async fn ask<E, M>(to: &RpcEndpointRef<E>, message: M) -> Result<M::Reply, RpcError>
where
    M: Message + Clone,
{
    let env = to.target().env();
    let (attempts, wait) = (env.settings.num_retries, env.settings.retry_wait);
    let token = fresh_token(env.id());
    let mut attempt = 1;
    loop {
        let options = SendOptions {
            token: Some(token),
            ..SendOptions::default()
        };
        let error = match to.ask_by(message.clone(), options).await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        if !may_help(to, &error) {
            return Err(error);
        }
        tracing::warn!(
            target: "ringrail::rpc",
            %error,
            "Error sending message [message = {}] in {attempt} attempts",
            M::NAME
        );
        if attempt >= attempts {
            return Err(RpcError::Retried {
                message: M::NAME,
                attempts: attempt,
                last: error.into(),
            });
        }
        attempt += 1;
        if wait > Duration::ZERO {
            Sleep::until(&env.timers, clock::now_ns() + clock::ns(wait)).await;
        }
    }
}

impl<E> RpcEndpointRef<E> {
    /// Asks, and asks again where that fails, up to `ringrail.rpc.numRetries` times in all, with
    /// `ringrail.rpc.retry.wait` between (Spark: `askWithRetry`).
    ///
    /// All attempts carry the same token, and the receiver remembers what it has replied to it: a
    /// message whose *reply* was lost is not handled twice, as long as the receiver remembers
    /// (`ringrail.rpc.retry.remembered`). What failed is handled anew.
    ///
    /// # Errors
    /// [`RpcError::Retried`] with the last cause; at once what no attempt can mend.
    ///
    /// # Cancel safety
    /// Dropping the future retracts the attempt that is under way.
    pub async fn ask_with_retry<M: Message + Clone, How>(
        &self,
        message: M,
    ) -> Result<M::Reply, RpcError>
    where
        E: Accepts<M, How>,
    {
        ask(self, message).await
    }

    /// As [`ask_with_retry`](Self::ask_with_retry), blocking this thread.
    ///
    /// # Errors
    /// As there; [`RpcError::WouldBlock`] on a thread that runs endpoints.
    pub fn ask_with_retry_blocking<M: Message + Clone, How>(
        &self,
        message: M,
    ) -> Result<M::Reply, RpcError>
    where
        E: Accepts<M, How>,
    {
        self.may_wait("ask_with_retry_blocking")?;
        block_on(ask(self, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_asks_of_an_env_have_the_same_token() {
        let tokens: HashSet<u64> = (0..10_000).map(|_| fresh_token(7)).collect();
        assert_eq!(tokens.len(), 10_000);
    }
}
