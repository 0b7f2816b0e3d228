//! Models of order: of a peer's messages and what is heard of its connection, and of one sender's messages.

use super::*;

/// Writes down what it hears of connections, and what it is sent.
struct Witness(Arc<Mutex<Vec<String>>>);

impl RpcEndpoint for Witness {
    type Messages = (Numbered,);

    fn on_connected(&mut self, _: &RpcAddress) -> Result<(), RpcError> {
        self.0.lock().expect("no panic").push("connected".into());
        Ok(())
    }

    fn on_disconnected(&mut self, _: &RpcAddress) -> Result<(), RpcError> {
        self.0.lock().expect("no panic").push("disconnected".into());
        Ok(())
    }
}

impl Handle<Numbered> for Witness {
    fn handle(
        &mut self,
        message: Received<'_, Numbered>,
        call: RpcCallContext<'_, u64>,
    ) -> Result<(), RpcError> {
        let number = message.take()?.number;
        self.0.lock().expect("no panic").push(number.to_string());
        call.reply(number);
        Ok(())
    }
}

#[test]
fn shuttle_an_endpoint_on_another_thread_hears_of_its_peer_in_order() {
    explore(|| {
        let server = server("heard", Conf::new());
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let of_endpoint = Arc::clone(&heard);
        let made = move || Witness(of_endpoint);
        let witness = server.setup_endpoint_with("collector", EndpointOptions::isolated(), made);
        let witness = witness.expect("an endpoint");
        // It has started, and hears of what happens from now on.
        witness
            .ask(Numbered {
                sender: 0,
                number: 9,
            })
            .wait()
            .expect("a reply");
        let address = server.address().expect("it listens").clone();
        let client = env("heard-of", Conf::new());
        let far = ref_at(&client, address);
        far.send(Numbered {
            sender: 0,
            number: 0,
        })
        .expect("taken");
        let reply = far
            .ask(Numbered {
                sender: 0,
                number: 1,
            })
            .wait();
        assert_eq!(reply.expect("a reply"), 1);
        end(&client);
        end(&server);
        let heard = heard.lock().expect("no panic");
        let at = |line: &str| heard.iter().position(|it| it == line);
        let connected = at("connected").expect("it was told");
        assert!(Some(connected) < at("0") && at("0") < at("1"), "{heard:?}");
        let disconnected = at("disconnected");
        // The server's own end may come before the news.
        assert!(
            disconnected.is_none() || at("1") < disconnected,
            "{heard:?}"
        );
    });
}

/// Sends on, by turns through a ref and directly.
struct Mixer(RpcEndpointRef);

impl RpcEndpoint for Mixer {
    type Messages = (Numbered,);
}

impl Handle<Numbered> for Mixer {
    fn handle(
        &mut self,
        message: Received<'_, Numbered>,
        call: RpcCallContext<'_, u64>,
    ) -> Result<(), RpcError> {
        let sender = message.take()?.sender;
        let direct = self.0.as_local().expect("it lives on this thread");
        for number in 0..4 {
            let message = Numbered { sender, number };
            match number % 2 {
                0 => self.0.send(message)?,
                _ => direct.send(message)?,
            }
        }
        call.reply(sender);
        Ok(())
    }
}

#[test]
fn shuttle_a_sender_keeps_its_order_by_ref_and_directly() {
    explore(|| {
        let env = env("mixed", Conf::new());
        let (collector, seen) = collector(&env);
        let to = collector.any();
        let made = move || Mixer(to);
        let mixer = env.setup_endpoint_with("mixer", EndpointOptions::on_shard(0), made);
        let mixer = mixer.expect("an endpoint");
        let other = mixer.clone();
        let asks = thread::spawn(move || {
            let reply = other
                .ask(Numbered {
                    sender: 1,
                    number: 0,
                })
                .wait();
            assert_eq!(reply.expect("a reply"), 1);
        });
        let reply = mixer
            .ask(Numbered {
                sender: 0,
                number: 0,
            })
            .wait();
        assert_eq!(reply.expect("a reply"), 0);
        asks.join().expect("no panic");
        end(&env);
        check(&seen, 2, 4);
    });
}
