//! What a function must not be able to do.

use std::{fs, io::Write, net::TcpListener, os::unix::fs::PermissionsExt, sync::Arc};

use coffer_functions::{Walls, runner::Confinement};

use crate::house::{BOTH, House, can};

/// Runs an expression, and says what came of it.
const TRY: &str = r#"
import os, socket, ctypes, subprocess
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    return -ctypes.get_errno() if libc.syscall(number, *args) == -1 else 0
def connect(host, port):
    return socket.create_connection((host, port), 2)
def handler(event, context):
    out = {}
    for name, text in event.items():
        try:
            out[name] = str(eval(text))
        except BaseException as e:
            out[name] = "refused: " + type(e).__name__
    return out
"#;

async fn attempts(house: &House, tries: &[(&str, String)]) -> serde_json::Value {
    let function = Arc::new(house.python(TRY));
    let event: serde_json::Map<String, serde_json::Value> =
        tries.iter().map(|(name, text)| ((*name).to_owned(), text.as_str().into())).collect();
    let (said, failed) = house.call(&function, &serde_json::Value::from(event).to_string()).await;
    assert!(!failed, "{said}");
    serde_json::from_str(&said).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_reaches_neither_the_server_nor_others() {
    for walls in BOTH {
        if !can(walls).await {
            continue;
        }
        let house = House::new(walls);
        // What lies beside it, readable by everybody: not the mode of the file keeps it, but the walls.
        let data = house.scratch.path().join("data");
        fs::File::create(&data).unwrap().write_all(b"canary").unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o644)).unwrap();
        let data = data.display().to_string();
        let server = std::process::id();
        let tries = [
            ("data", format!("open('{data}').read()")),
            ("others", format!("os.listdir('{}')", house.scratch.path().join("functions").display())),
            ("memory", format!("open('/proc/{server}/mem','rb').read(1)")),
            ("variables", format!("open('/proc/{server}/environ').read()")),
            ("shadow", String::from("open('/etc/shadow').read()")),
            ("root", String::from("os.listdir('/root')")),
            ("code", String::from("open(os.environ['LAMBDA_TASK_ROOT'] + '/index.py', 'w')")),
            ("beside code", String::from("open(os.environ['LAMBDA_TASK_ROOT'] + '/other.py', 'w')")),
            ("signal", format!("os.kill({server}, 0)")),
            ("become root", String::from("os.setuid(0)")),
            (
                "su",
                String::from(
                    "subprocess.run(['/usr/bin/id','-u'],capture_output=True,check=True).stdout.decode().strip() == '0'",
                ),
            ),
            ("kernel log", String::from("libc.klogctl(10, 0, 0) == -1")),
            ("uid", String::from("os.getuid() not in (0,)")),
            (
                "privileges",
                String::from(
                    "[l.split()[1] for l in open('/proc/self/status') if l.startswith(('CapEff','CapBnd','NoNewPrivs','Seccomp:'))]",
                ),
            ),
            ("temporary", String::from("open(os.environ['TMPDIR'] + '/mine', 'w').write('x')")),
            ("first to go", String::from("open('/proc/self/oom_score_adj').read().strip()")),
            ("last to go", String::from("open('/proc/self/oom_score_adj', 'w')")),
        ];
        let said = attempts(&house, &tries).await;
        for name in [
            "data",
            "others",
            "memory",
            "variables",
            "shadow",
            "root",
            "code",
            "beside code",
            "signal",
            "become root",
            "last to go",
        ] {
            assert!(said[name].as_str().unwrap().starts_with("refused"), "{walls:?} {name}: {said}");
        }
        assert_eq!(said["su"], "False", "{said}");
        assert_eq!(said["first to go"], "1000", "{walls:?} {said}");
        assert_eq!(
            (&said["kernel log"], &said["uid"], &said["temporary"]),
            (&"True".into(), &"True".into(), &"1".into()),
            "{said}"
        );
        let zero = "0000000000000000";
        let privileges = said["privileges"].as_str().unwrap();
        assert!(
            privileges.starts_with(&format!("['{zero}', ")) && privileges.ends_with("'1', '2']"),
            "{walls:?} {privileges}"
        );

        let calls = [
            ("unshare", format!("call({}, 0x10000000)", libc_number("unshare"))),
            ("mount", format!("call({}, b'a', b'/tmp', b'tmpfs', 0, 0)", libc_number("mount"))),
            ("ptrace", format!("call({}, 0, 0, 0, 0)", libc_number("ptrace"))),
            ("bpf", format!("call({}, 0, 0, 0)", libc_number("bpf"))),
            ("keyctl", format!("call({}, 0, 0)", libc_number("keyctl"))),
            ("io_uring", format!("call({}, 1, 0)", 425)),
            ("clone", format!("call({}, 0x10000011, 0, 0, 0, 0)", libc_number("clone"))),
        ];
        let said = attempts(&house, &calls).await;
        for (name, _) in &calls {
            assert_eq!(said[*name], "-1", "{walls:?} {name}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_with_a_network_of_its_own_reaches_what_is_declared() {
    if !can(Walls::Full).await {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let database = TcpListener::bind("127.0.0.1:0").unwrap();
    let known = database.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in database.incoming() {
            drop(stream.unwrap().write_all(b"database"));
        }
    });
    let house = House::with(Walls::Full, |settings| {
        settings.endpoints = vec![(String::from("localhost"), known)];
    });
    let tries = [
        ("host", format!("connect('127.0.0.1', {port})")),
        ("outside", String::from("connect('192.0.2.1', 80)")),
        ("name", String::from("connect('example.com', 443)")),
        ("declared", format!("connect('localhost', {known}).recv(100).decode()")),
        (
            "coffer",
            String::from(
                "__import__('urllib.request').request.urlopen(os.environ['AWS_ENDPOINT_URL']).read().decode()",
            ),
        ),
        ("processes", String::from("sorted(p for p in os.listdir('/proc') if p.isdigit())")),
        ("names", String::from("open('/etc/hosts').read()")),
        ("home", String::from("sorted(os.listdir('/'))")),
        ("authorities", String::from("os.path.getsize('/etc/pki/tls/cert.pem') > 1000")),
        ("devices", String::from("sorted(os.listdir('/dev'))")),
    ];
    let said = attempts(&house, &tries).await;
    for name in ["host", "outside", "name"] {
        assert!(said[name].as_str().unwrap().starts_with("refused"), "{name}: {said}");
    }
    assert_eq!((&said["declared"], &said["coffer"]), (&"database".into(), &"coffer".into()), "{said}");
    assert_eq!(said["processes"], "['1', '2']", "{said}");
    assert!(said["names"].as_str().unwrap().starts_with("127.0.0.1 localhost"), "{said}");
    assert!(
        !said["home"].as_str().unwrap().contains("root") && !said["home"].as_str().unwrap().contains("home"),
        "{said}"
    );
    assert_eq!(
        said["devices"],
        "['fd', 'full', 'null', 'random', 'shm', 'stderr', 'stdin', 'stdout', 'urandom', 'zero']",
        "{said}"
    );
    if std::path::Path::new("/etc/ssl/certs/ca-certificates.crt").exists() {
        assert_eq!(said["authorities"], "True", "{said}");
    }
}

/// Databases are named in all sorts of ways. Each of them is there under its own name, and nothing beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_is_reached_under_the_name_or_address_that_it_has() {
    if !can(Walls::Full).await {
        return;
    }
    let mut hosts = own_addresses();
    hosts.extend([String::from("127.0.0.1"), String::from("127.0.0.77"), String::from("::1"), own_name()]);
    let mut databases = Vec::new();
    for host in hosts {
        // Whatever this machine has: some have no IPv6, some cannot find their own name.
        match TcpListener::bind((host.as_str(), 0)) {
            Ok(listener) => databases.push((host, listener)),
            Err(error) => println!("SKIPPED: {host}: {error}"),
        }
    }
    let endpoints: Vec<(String, u16)> = databases
        .iter()
        .map(|(host, listener)| (host.clone(), listener.local_addr().unwrap().port()))
        .collect();
    for (host, listener) in databases {
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                drop(stream.unwrap().write_all(host.as_bytes()));
            }
        });
    }
    let house = House::with(Walls::Full, |settings| settings.endpoints.clone_from(&endpoints));
    let mut tries: Vec<(String, String)> = endpoints
        .iter()
        .map(|(host, port)| (host.clone(), format!("connect('{host}', {port}).recv(100).decode()")))
        .collect();
    // What is beside an address is not there because the address is.
    tries.push((String::from("beside"), format!("connect('192.0.2.99', {})", endpoints[0].1)));
    tries.push((String::from("port"), format!("connect('{}', 1)", endpoints[0].0)));
    let tries: Vec<(&str, String)> = tries.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    let said = attempts(&house, &tries).await;
    for (host, _) in &endpoints {
        assert_eq!(said[host.as_str()], host.as_str(), "{said}");
    }
    for name in ["beside", "port"] {
        assert!(said[name].as_str().unwrap().starts_with("refused"), "{name}: {said}");
    }
}

/// Where a secret says that its database is, its owner writes. The worst of it keeps no function from running.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_cannot_be_is_not_there_and_the_function_runs() {
    if !can(Walls::Full).await {
        return;
    }
    let house = House::new(Walls::Full);
    let endpoints = [
        // The function's own: the runtime API, and Coffer's.
        ("127.0.0.1", 9001),
        ("localhost", 9002),
        ("0.0.0.0", 9001),
        ("0.0.0.0", 5432),
        ("::", 5432),
        ("255.255.255.255", 5432),
        ("224.0.0.1", 5432),
        ("ff02::1", 5432),
        ("db.example.com", 0),
        ("", 5432),
        ("db\n127.0.0.1 other", 5432),
        ("db other", 5432),
        ("# db", 5432),
        ("DB", 5432),
        ("db", 5433),
        ("fe80::1", 5432),
        ("169.254.169.254", 80),
        ("127.0.0.1", 5432),
    ];
    let confined = Confinement {
        session_policy: String::from("{}"),
        endpoints: endpoints.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect(),
        log: Arc::default(),
        is_last: false,
    };
    let function = Arc::new(house.python("def handler(e, c): return open('/etc/hosts').read()"));
    let outcome = house.outcome(&function, "1", Some(confined)).await;
    let coffer_core::FunctionOutcome::Done(answer) = outcome else { panic!("{outcome:?}") };
    let names = String::from_utf8_lossy(answer.payload.expose()).into_owned();
    assert!(!answer.failed && names == r#""127.0.0.1 localhost coffer\n127.0.0.2 DB\n""#, "{names}");
}

/// Those of this machine that lead somewhere else than back.
fn own_addresses() -> Vec<String> {
    let said = std::process::Command::new("hostname").arg("-I").output();
    let said = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default();
    said.split_whitespace().map(str::to_owned).collect()
}

fn own_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

#[test]
fn the_doctor_knows_what_the_kernel_allows() {
    let helper = (std::path::PathBuf::from(env!("CARGO_BIN_EXE_coffer-function-helper")), Vec::new());
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for walls in BOTH {
        let said =
            coffer_functions::doctor::can_build(walls, &helper, &place.path().join("try"), 1_900_000_000);
        assert_eq!(said.is_ok(), runtime.block_on(can(walls)), "{walls:?} {said:?}");
        assert!(!place.path().join("try").exists());
    }
    let nobody = (std::path::PathBuf::from("/bin/false"), Vec::new());
    assert!(coffer_functions::doctor::can_build(Walls::Full, &nobody, &place.path().join("try"), 1).is_err());
}

/// Whoever is not root has walls made with a user namespace. Tests that run as root are run once more as somebody who is not, all in one
/// process, where children of one disturb another.
#[test]
fn the_walls_stand_without_root() {
    if coffer_sys::effective_uid() != 0 {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let nobody = |arguments: &[&str]| {
        std::process::Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(std::env::current_exe().unwrap())
            .args(arguments)
            .env("TMPDIR", place.path())
            .current_dir(place.path())
            .output()
    };
    if !nobody(&["--list"]).is_ok_and(|listed| listed.status.success()) {
        println!(
            "SKIPPED: this test cannot be run by an ordinary user: setpriv or the way to its program is missing"
        );
        return;
    }
    // Whoever takes all that he can get takes it from others of the same user.
    for chosen in [
        &["walls::"][..],
        &["running::a_function_answers", "running::a_function_that", "--test-threads=1"],
        &["extensions::an_extension_hears", "extensions::an_extension_inside"],
    ] {
        let done = nobody(chosen).unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
        let how_many = said.matches(" ... ok").count();
        assert!(how_many >= 2, "{said}");
        print!("{said}");
    }
}

/// Whoever runs Coffer as himself has a hundred programs open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_else_its_user_runs_takes_no_process_from_a_function() {
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let is_done = Arc::new(std::sync::Mutex::new(is_done));
    let others: Vec<_> = (0..100)
        .map(|_| {
            let is_done = Arc::clone(&is_done);
            std::thread::spawn(move || assert!(is_done.lock().unwrap().recv().is_err()))
        })
        .collect();
    for walls in BOTH {
        if !can(walls).await {
            continue;
        }
        let house = House::new(walls);
        let said =
            attempts(&house, &[("program", String::from("subprocess.run(['/bin/true']).returncode"))]).await;
        assert_eq!(said["program"], "0", "{walls:?}");
    }
    drop(done);
    others.into_iter().for_each(|other| other.join().unwrap());
}

/// As many as there may be: each is a listener that has to come over to the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_with_very_many_endpoints_runs() {
    if !can(Walls::Full).await {
        return;
    }
    let house = House::with(Walls::Full, |settings| {
        settings.endpoints = (0..100).map(|number| (format!("db{number}.example.com"), 5432)).collect();
    });
    let said =
        attempts(&house, &[("names", String::from("open('/etc/hosts').read().count('example')"))]).await;
    assert_eq!(said["names"], "64");
}

/// The kernel's number of a call on the machine that runs the test.
fn libc_number(name: &str) -> u32 {
    let x86 = cfg!(target_arch = "x86_64");
    match name {
        "unshare" => {
            if x86 {
                272
            } else {
                97
            }
        }
        "mount" => {
            if x86 {
                165
            } else {
                40
            }
        }
        "ptrace" => {
            if x86 {
                101
            } else {
                117
            }
        }
        "bpf" => {
            if x86 {
                321
            } else {
                280
            }
        }
        "keyctl" => {
            if x86 {
                250
            } else {
                219
            }
        }
        "clone" => {
            if x86 {
                56
            } else {
                220
            }
        }
        _ => panic!("{name}"),
    }
}
