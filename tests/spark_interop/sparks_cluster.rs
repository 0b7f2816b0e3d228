//! Spark's Master and Worker against messages of ours: registration, drivers, applications and executors.

use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use ringrail::TransportClient;
use ringrail::codec::java::Profile;
use ringrail::codec::spark::rpc::{
    ApplicationDescription, BoundPortsRequest, Command, DriverDescription, DriverState,
    DriverStateChanged, DriverStatusResponse, ExecutorResourceRequest, ExecutorState,
    ExecutorStateChanged, Heartbeat, JavaArray, KillExecutor, LaunchExecutor, Map, Message,
    NettyRpcEndpointRef, OrNull, RecoveryState, RegisterApplication, RegisterWorker,
    RegisteredWorker, RequestDriverStatus, RequestExecutors, RequestMasterState,
    RequestSubmitDriver, ResourceInformation, ResourceProfile, SubmitDriverResponse,
    TaskResourceRequest, UnregisterApplication, Version as Classes, WorkerLatestState,
};
use ringrail_spark_peers::{Daemon, Version};
use tempfile::TempDir;

use crate::support::install;
use crate::support::rpc::{Node, Told, local};

const WORKER: &str = "worker-ringrail";

fn classes(version: Version) -> Classes {
    match version {
        Version::V3_5 => Classes::V3_5,
        Version::V4_1 => Classes::V4_1,
    }
}

/// A Master of Spark's and a process of ours that is connected to it.
struct AtMaster {
    master: Daemon,
    node: Node,
    client: TransportClient,
    _dir: TempDir,
}

impl AtMaster {
    fn start(version: Version) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let master = Daemon::master(&install(version), dir.path());
        let master = master.unwrap_or_else(|error| panic!("{error}"));
        let node = Node::start(classes(version), &["Worker", "AppClient"]);
        let client = node.connect(master.port());
        Self {
            master,
            node,
            client,
            _dir: dir,
        }
    }

    fn ask(&self, message: &impl ringrail::codec::spark::rpc::JavaValue) -> Message {
        self.node.ask(&self.client, "Master", message)
    }

    fn send(&self, message: &impl ringrail::codec::spark::rpc::JavaValue) {
        self.node.send(&self.client, "Master", message);
    }

    fn next<T>(&self, wanted: impl FnMut(Told) -> Option<T>) -> T {
        self.node.next(|| self.master.log(), wanted)
    }

    fn register_worker(&self) {
        assert_eq!(
            self.node.exists(&self.client, "Master"),
            Message::Boolean(true)
        );
        assert_eq!(
            self.node.exists(&self.client, "Nobody"),
            Message::Boolean(false)
        );
        let gpu = ResourceInformation {
            addresses: JavaArray(vec!["0".into(), "1".into()]),
            name: "gpu".into(),
        };
        let register = RegisterWorker {
            cores: 4,
            memory: 4096,
            port: i32::from(self.node.port()),
            host: "127.0.0.1".into(),
            id: WORKER.into(),
            master_address: local(self.master.port()),
            resources: Map(vec![("gpu".into(), gpu)]),
            worker: self.node.endpoint("Worker"),
            worker_web_ui_url: "http://127.0.0.1:1".into(),
        };
        self.send(&register);
        // A Master that has just been started is not elected yet; a Worker tries again, as this does.
        let registered = self.next(|told| match told.message {
            Message::RegisteredWorker(registered) => Some(registered),
            Message::MasterInStandby(_) => {
                thread::sleep(Duration::from_millis(100));
                self.send(&register);
                None
            }
            other => panic!("{other:?}"),
        });
        assert!(!registered.duplicate);
        assert_eq!(registered.master_address, local(self.master.port()));
        assert_eq!(registered.master.endpoint_address.name, "Master");
        self.send(&WorkerLatestState {
            driver_ids: Vec::new(),
            executors: Vec::new(),
            id: WORKER.into(),
        });
        self.send(&Heartbeat {
            worker: self.node.endpoint("Worker"),
            worker_id: WORKER.into(),
        });
    }
}

fn command(main_class: &str) -> Command {
    let environment: Vec<(String, String)> = (0..6)
        .map(|n| (format!("KEY_{n}"), format!("ä€😀 {n}")))
        .collect();
    Command {
        arguments: vec!["{{WORKER_URL}}".into(), "x".repeat(70_000)],
        class_path_entries: Vec::new(),
        environment: Map(environment),
        java_opts: vec!["-Dx=y".into()],
        library_path_entries: Vec::new(),
        main_class: main_class.into(),
    }
}

fn profile() -> ResourceProfile {
    let request = |name: &str, amount| {
        let request = ExecutorResourceRequest {
            amount,
            discovery_script: String::new(),
            resource_name: name.into(),
            vendor: String::new(),
        };
        (name.to_owned(), request)
    };
    let cpus = TaskResourceRequest {
        amount: 1.0,
        resource_name: "cpus".into(),
    };
    ResourceProfile {
        cores_limit_known: false,
        id: 0,
        executor_resource_slots_per_addr: None,
        limiting_resource: None,
        max_tasks_per_executor: None,
        executor_resources: Map(vec![request("cores", 2), request("memory", 512)]),
        task_resources: Map(vec![("cpus".into(), cpus)]),
    }
}

fn application(command: Command) -> ApplicationDescription {
    ApplicationDescription {
        app_ui_url: String::new(),
        command,
        default_profile: profile(),
        event_log_codec: None,
        event_log_dir: None,
        initial_executor_limit: None,
        max_cores: Some(2),
        name: "ours".into(),
        user: "nobody".into(),
    }
}

fn a_worker_registers(version: Version) {
    let at = AtMaster::start(version);
    at.register_worker();
    let Message::BoundPortsResponse(ports) = at.ask(&BoundPortsRequest) else {
        panic!("another reply");
    };
    assert_eq!(ports.rpc_endpoint_port, i32::from(at.master.port()));
    let Message::MasterStateResponse(state) = at.ask(&RequestMasterState) else {
        panic!("another reply");
    };
    assert_eq!(state.status, RecoveryState::Alive);
    let [worker] = &state.workers.0[..] else {
        panic!("{:?}", state.workers);
    };
    assert_eq!(
        (worker.id.as_str(), worker.cores, worker.memory),
        (WORKER, 4, 4096)
    );
    assert_eq!(worker.endpoint, at.node.endpoint("Worker"));
    let gpu = worker.resources.get("gpu").expect("a gpu");
    assert_eq!(gpu.addresses, ["0", "1"]);
}

fn a_driver_is_launched(version: Version) {
    let at = AtMaster::start(version);
    at.register_worker();
    let driver = DriverDescription {
        cores: 1,
        mem: 512,
        supervise: false,
        command: command("org.apache.spark.deploy.worker.DriverWrapper"),
        jar_url: "file:/none.jar".into(),
        resource_reqs: Vec::new(),
    };
    let Message::SubmitDriverResponse(submitted) = at.ask(&RequestSubmitDriver {
        driver_description: driver.clone().into(),
    }) else {
        panic!("another reply");
    };
    assert!(submitted.success, "{}", submitted.message);
    let launch = at.next(|told| match told.message {
        Message::LaunchDriver(launch) => Some(launch),
        _ => None,
    });
    assert_eq!(Some(&launch.driver_id), submitted.driver_id.as_ref());
    assert!(*launch.driver_desc == driver, "another driver");
    at.send(&DriverStateChanged {
        driver_id: launch.driver_id.clone(),
        exception: Some(ringrail::codec::spark::rpc::Throwable::new("no jar")),
        state: DriverState::Error,
    });
    let status = RequestDriverStatus {
        driver_id: launch.driver_id.clone(),
    };
    let Message::DriverStatusResponse(status) = at.ask(&status) else {
        panic!("another reply");
    };
    assert!(status.found);
    assert_eq!(status.state, Some(DriverState::Error));
    let exception = status.exception.expect("an exception");
    assert_eq!(exception.to_string(), "java.lang.RuntimeException: no jar");
}

fn an_application_gets_an_executor(version: Version) {
    let at = AtMaster::start(version);
    at.register_worker();
    let app = application(command(
        "org.apache.spark.executor.CoarseGrainedExecutorBackend",
    ));
    at.send(&RegisterApplication {
        app_description: app.clone().into(),
        driver: at.node.endpoint("AppClient"),
    });
    let (mut app_id, mut launch, mut added) = (None, None, None);
    at.next(|told| {
        match told.message {
            Message::RegisteredApplication(registered) => app_id = Some(registered.app_id),
            Message::LaunchExecutor(launched) => launch = Some(launched),
            Message::ExecutorAdded(one) => added = Some(one),
            _ => {}
        }
        (app_id.is_some() && launch.is_some() && added.is_some()).then_some(())
    });
    let (launch, added) = (launch.expect("launched"), added.expect("added"));
    assert_eq!(Some(&launch.app_id), app_id.as_ref());
    assert!(*launch.app_desc == app, "another application");
    assert_eq!((launch.cores, launch.memory), (2, 512));
    assert_eq!(
        launch.master_url,
        format!("spark://127.0.0.1:{}", at.master.port())
    );
    assert_eq!(
        (added.id, added.worker_id.as_str()),
        (launch.exec_id, WORKER)
    );
    executor_lives_and_ends(&at, &launch, app_id.expect("registered"));
}

fn executor_lives_and_ends(at: &AtMaster, launch: &LaunchExecutor, app_id: String) {
    let running = ExecutorStateChanged {
        exec_id: launch.exec_id,
        app_id: app_id.clone(),
        exit_status: None,
        message: None,
        state: ExecutorState::Running,
    };
    assert_eq!(at.ask(&running), Message::Boolean(true));
    let updated = at.next(|told| match told.message {
        Message::ExecutorUpdated(updated) => Some((told.endpoint, updated.id, updated.state)),
        _ => None,
    });
    assert_eq!(
        updated,
        (
            "AppClient".to_owned(),
            launch.exec_id,
            ExecutorState::Running
        )
    );
    let wanted = RequestExecutors {
        app_id: app_id.clone(),
        resource_profile_to_total_execs: Map(vec![(profile(), 1)]),
    };
    assert_eq!(at.ask(&wanted), Message::Boolean(true));
    at.send(&UnregisterApplication {
        app_id: app_id.clone(),
    });
    let mut killed = None;
    let finished = at.next(|told| match told.message {
        Message::KillExecutor(kill) => {
            killed = Some(*kill);
            None
        }
        Message::ApplicationFinished(finished) => Some(finished.id),
        _ => None,
    });
    assert_eq!(finished, app_id);
    let expected = KillExecutor {
        exec_id: launch.exec_id,
        app_id,
        master_url: launch.master_url.clone(),
    };
    assert_eq!(killed, Some(expected));
}

/// The launch of an executor whose class does not exist.
fn launch_of_nothing(master_url: String) -> LaunchExecutor {
    let mut command = command("ringrail.None");
    command.arguments = vec!["{{EXECUTOR_ID}}".into()];
    LaunchExecutor {
        cores: 1,
        exec_id: 7,
        memory: 64,
        rp_id: 0,
        app_desc: application(command).into(),
        app_id: "app-1".into(),
        master_url,
        resources: Map::default(),
    }
}

/// A Worker of Spark's at a Master of ours: it registers, beats, and starts what it is told to start.
fn sparks_worker_starts_an_executor(version: Version) {
    let dir = tempfile::tempdir().expect("a directory");
    let node = Node::start(classes(version), &["Master"]);
    let url = format!("spark://127.0.0.1:{}", node.port());
    let worker = Daemon::worker(&install(version), dir.path(), &url);
    let worker = worker.unwrap_or_else(|error| panic!("{error}"));
    let log = || worker.log();
    let (register, peer) = node.next(log, |told| match told.message {
        Message::RegisterWorker(register) => Some((register, told.from)),
        _ => None,
    });
    assert_eq!((register.cores, register.memory), (2, 1024));
    assert_eq!(register.master_address, node.address());
    node.send(
        &peer,
        "Worker",
        &RegisteredWorker {
            duplicate: false,
            master: node.endpoint("Master"),
            master_address: register.master_address.clone(),
            master_web_ui_url: "http://127.0.0.1:1".into(),
        },
    );
    let (mut state, mut heartbeat) = (None, None);
    node.next(log, |told| {
        match told.message {
            Message::WorkerLatestState(latest) => state = Some(latest.id),
            Message::Heartbeat(beat) => heartbeat = Some(beat.worker_id),
            _ => {}
        }
        (state.is_some() && heartbeat.is_some()).then_some(())
    });
    assert_eq!(
        (state, heartbeat),
        (Some(register.id.clone()), Some(register.id.clone()))
    );
    node.send(&peer, "Worker", &launch_of_nothing(url));
    // Java starts, does not find the class, and ends with 1.
    let mut states = Vec::new();
    let last = node.next(log, |told| match told.message {
        Message::ExecutorStateChanged(changed) if changed.exec_id == 7 => {
            states.push(changed.state);
            (changed.state != ExecutorState::Running).then_some(changed)
        }
        _ => None,
    });
    assert_eq!(states, [ExecutorState::Running, ExecutorState::Exited]);
    assert_eq!(last.exit_status, Some(1));
    assert_eq!(last.message.as_deref(), Some("Command exited with code 1"));
}

/// The answers of a Master to a submitting client.
fn answer_client(asked: &Message, port: u16) -> Message {
    match asked {
        Message::RequestSubmitDriver(_) => Message::from(SubmitDriverResponse {
            success: true,
            driver_id: Some("driver-1".into()),
            // The timeout lies in a class that differs; a client does without.
            master: NettyRpcEndpointRef {
                default_ask_timeout: OrNull(None),
                ..NettyRpcEndpointRef::new("Master", Some(local(port)), 10)
            },
            message: "submitted".into(),
        }),
        Message::RequestDriverStatus(asked) => Message::from(DriverStatusResponse {
            found: asked.driver_id == "driver-1",
            exception: None,
            state: Some(DriverState::Running),
            worker_host_port: Some("127.0.0.1:1".into()),
            worker_id: Some(WORKER.into()),
        }),
        other => panic!("{other:?}"),
    }
}

/// A client of Spark's at a Master of ours: it submits a driver, and asks for its state through the reference
/// that it got.
fn sparks_client_submits_a_driver(version: Version) {
    // Nothing that a client says tells 4.0 from 4.1.
    static EITHER: LazyLock<Profile> =
        LazyLock::new(|| Classes::V4_0.profile().common(Classes::V4_1.profile()));
    let profile = match version {
        Version::V3_5 => Classes::V3_5.profile(),
        Version::V4_1 => &EITHER,
    };
    let dir = tempfile::tempdir().expect("a directory");
    let node = Node::answering(profile, &["Master"], answer_client);
    let master = format!("spark://127.0.0.1:{}", node.port());
    let words = ["launch", &master, "file:/none.jar", "Main", "argument"];
    let client = Daemon::client(&install(version), dir.path(), &words);
    let mut client = client.unwrap_or_else(|error| panic!("{error}"));
    let submitted = node.next(
        || client.log(),
        |told| match told.message {
            Message::RequestSubmitDriver(submitted) => Some(submitted),
            _ => None,
        },
    );
    let driver = submitted.driver_description.into_inner();
    assert_eq!(driver.jar_url, "file:/none.jar");
    assert_eq!(
        driver.command.arguments,
        ["{{WORKER_URL}}", "{{USER_JAR}}", "Main", "argument"]
    );
    node.next(
        || client.log(),
        |told| match told.message {
            Message::RequestDriverStatus(_) => Some(()),
            _ => None,
        },
    );
    assert_eq!(client.wait(), 0, "{}", client.log());
}

macro_rules! with_each_version {
    ($($name:ident)*) => {$(
        mod $name {
            use ringrail_spark_peers::Version;

            #[test]
            #[ignore = "needs Spark: see .ci/spark"]
            fn spark_3_5() {
                super::$name(Version::V3_5);
            }

            #[test]
            #[ignore = "needs Spark: see .ci/spark"]
            fn spark_4_1() {
                super::$name(Version::V4_1);
            }
        }
    )*};
}

with_each_version! {
    a_worker_registers
    a_driver_is_launched
    an_application_gets_an_executor
    sparks_worker_starts_an_executor
    sparks_client_submits_a_driver
}
