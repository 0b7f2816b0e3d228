//! Refs inside messages.
//!
//! A ref travels as (address, name, env). Whoever reads it gets a ref of its own env: to itself, where
//! it listens there or is that env; over the connection that the message came on, where the peer is
//! that env and does not listen; else by the address. A ref to an env that does not listen, passed on
//! to a third party, leads nowhere, and says so when it is used.

use rkyv::rancor::{Fallible, ResultExt, Source};
use rkyv::{Archive, Deserialize, Place as RkyvPlace, Serialize};

use super::RpcAddress;
use super::decode_context::DecodeContext;
use super::endpoint_ref::RpcEndpointRef;
use super::error::RpcError;

/// A ref as it travels.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
#[rkyv(derive(Debug))]
pub struct RefParts {
    /// The address that the endpoint's env listens at; none in client mode.
    pub address: Option<(String, u16)>,
    /// The endpoint's name.
    pub name: String,
    /// Tells the endpoint's env from all others; 0 where that is not known.
    pub env: u64,
}

impl<E> RpcEndpointRef<E> {
    fn parts(&self) -> RefParts {
        let target = self.target();
        RefParts {
            address: target
                .address()
                .map(|address| (address.host().to_owned(), address.port())),
            name: target.name().to_owned(),
            env: target.owner(),
        }
    }
}

impl<E> Archive for RpcEndpointRef<E> {
    type Archived = ArchivedRefParts;
    type Resolver = <RefParts as Archive>::Resolver;

    fn resolve(&self, resolver: Self::Resolver, out: RkyvPlace<Self::Archived>) {
        self.parts().resolve(resolver, out);
    }
}

impl<E, S> Serialize<S> for RpcEndpointRef<E>
where
    S: Fallible + ?Sized,
    RefParts: Serialize<S>,
{
    fn serialize(&self, serializer: &mut S) -> Result<Self::Resolver, S::Error> {
        self.parts().serialize(serializer)
    }
}

impl<E, D> Deserialize<RpcEndpointRef<E>, D> for ArchivedRefParts
where
    D: Fallible<Error: Source> + ?Sized,
{
    fn deserialize(&self, _: &mut D) -> Result<RpcEndpointRef<E>, D::Error> {
        let (env, peer) = DecodeContext::current()
            .ok_or(RpcError::NoScope)
            .into_error()?;
        let address = self
            .address
            .as_ref()
            .map(|address| RpcAddress::new(address.0.as_str(), address.1.to_native()));
        let target = env.read_ref(address, &self.name, self.env.to_native(), peer);
        Ok(RpcEndpointRef::new(target))
    }
}
