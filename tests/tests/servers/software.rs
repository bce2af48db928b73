//! Configurations of the servers. Each function starts one, or returns `None` if it is not installed.

use std::path::Path;
use std::process::Command;

use golo_tests::Signal;

use crate::log::Entry;
use crate::server::{Place, Recipe, Server, call, installed};

/// Port of HTTP/1.1 without TLS.
pub(crate) const PLAIN: usize = 0;
/// Port of HTTP/1.1 and 2 (of Caddy also 3) over TLS.
pub(crate) const TLS: usize = 1;
/// Port of HTTP/2 without TLS.
pub(crate) const H2C: usize = 2;

/// Starts nginx with these settings of all its servers, and these of the one location.
pub(crate) async fn nginx(settings: &str, location: &str) -> Option<Server> {
    nginx_at(&["127.0.0.1"], settings, location).await
}

/// Starts nginx on these addresses.
pub(crate) async fn nginx_at(addresses: &[&str], settings: &str, location: &str) -> Option<Server> {
    let program = installed("nginx")?;
    let place = Place::new(3);
    place.write_certificate();
    let [plain, tls, h2c] = [PLAIN, TLS, H2C].map(|index| place.port(index));
    let listen: String = addresses
        .iter()
        .map(|at| format!("listen {at}:{plain}; listen {at}:{tls} ssl http2; listen {at}:{h2c} http2;\n"))
        .collect();
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let config = format!(
        "daemon off; worker_processes 2; pid nginx.pid; error_log error.log; {user}
         events {{ worker_connections 4096; }}
         http {{
             log_format golo '$connection $status $server_protocol $server_addr';
             access_log access.log golo;
             client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
             uwsgi_temp_path uwsgi; scgi_temp_path scgi;
             ssl_certificate certificate.pem; ssl_certificate_key key.pem;
             {settings}
             server {{
                 {listen}
                 location / {{ {location} return 200 'ok'; }}
                 location /moved {{ return 302 /; }}
             }}
         }}"
    );
    let config = place.write("nginx.conf", config);
    let folder = place.folder().to_owned();
    let mut command = call(program, [Path::new("-p"), &folder, Path::new("-c"), &config]);
    command.args(["-e", "error.log"]);
    Some(place.start("nginx", command, Recipe { stop: Signal::QUIT, log: "access.log", parse: Entry::plain }).await)
}

/// Starts Apache httpd with the event MPM and these settings.
pub(crate) async fn apache(settings: &str) -> Option<Server> {
    let program = installed("apache2")?;
    let place = Place::new(1);
    place.write("page", "ok");
    let user = if rustix::process::geteuid().is_root() { "User nobody\nGroup nogroup\n" } else { "" };
    let config = format!(
        "ServerRoot {folder}\nDefaultRuntimeDir {folder}\nPidFile apache.pid\nServerName 127.0.0.1\n\
         Listen 127.0.0.1:{port}\nErrorLog error.log\n\
         LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so\n\
         LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so\n\
         LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so\n\
         {user}Alias / {folder}/page\n\
         LogFormat \"%{{remote}}p %>s %H\" golo\nCustomLog access.log golo\n{settings}\n",
        folder = place.folder().display(),
        port = place.port(PLAIN),
    );
    let config = place.write("apache.conf", config);
    let command = call(program, [Path::new("-DFOREGROUND"), Path::new("-f"), &config]);
    Some(place.start("apache", command, Recipe { stop: Signal::WINCH, log: "access.log", parse: Entry::plain }).await)
}

/// Starts HAProxy in front of a server on `port`.
pub(crate) async fn haproxy(port: u16, settings: &str) -> Option<Server> {
    let program = installed("haproxy")?;
    let place = Place::new(3);
    place.write_certificate();
    let config = format!(
        "global\n log stdout format raw local0\n maxconn 4000\n\
         defaults\n mode http\n log global\n option dontlognull\n log-format \"%ci:%cp %ST %HV\"\n\
         timeout connect 5s\n timeout client 30s\n timeout server 30s\n {settings}\n\
         frontend clients\n bind 127.0.0.1:{}\n bind 127.0.0.1:{} ssl crt both.pem alpn h2,http/1.1\n\
         bind 127.0.0.1:{} proto h2\n default_backend servers\n\
         backend servers\n server first 127.0.0.1:{port}\n",
        place.port(PLAIN),
        place.port(TLS),
        place.port(H2C),
    );
    let config = place.write("haproxy.conf", config);
    let command = call(program, [Path::new("-db"), Path::new("-f"), &config]);
    Some(place.start("haproxy", command, Recipe { stop: Signal::USR1, log: "stdout.log", parse: Entry::plain }).await)
}

/// Starts Caddy with these settings of its timeouts.
pub(crate) async fn caddy(timeouts: &str) -> Option<Server> {
    let program = installed("caddy")?;
    let place = Place::new(3);
    place.write_certificate();
    let folder = place.folder().display().to_string();
    let log = "bind 127.0.0.1\n log {\n output file access.log {\n roll_disabled\n }\n format json\n }\n respond ok\n";
    let config = format!(
        "{{\n admin off\n auto_https off\n servers {{\n protocols h1 h2 h2c h3\n timeouts {{\n {timeouts}\n }}\n }}\n }}\n\
         http://127.0.0.1:{}, http://127.0.0.1:{} {{\n {log} }}\n\
         https://127.0.0.1:{} {{\n tls certificate.pem key.pem\n {log} }}\n",
        place.port(PLAIN),
        place.port(H2C),
        place.port(TLS),
    );
    let config = place.write("Caddyfile", config);
    let mut command = call(program, ["run", "--adapter", "caddyfile", "--config"]);
    command.arg(config).env("HOME", &folder).env("XDG_DATA_HOME", &folder).env("XDG_CONFIG_HOME", &folder);
    Some(place.start("caddy", command, Recipe { stop: Signal::TERM, log: "access.log", parse: Entry::caddy }).await)
}

/// Starts node with these options of `node.mjs`.
pub(crate) async fn node(options: &str) -> Option<Server> {
    let program = installed("node")?;
    let place = Place::new(3);
    place.write_certificate();
    let script = place.write("node.mjs", include_str!("node.mjs"));
    let mut command = call(program, [script]);
    command.args([PLAIN, TLS, H2C].map(|index| place.port(index).to_string())).arg(options);
    Some(place.start("node", command, Recipe { stop: Signal::TERM, log: "access.log", parse: Entry::plain }).await)
}

/// Starts uvicorn with these flags.
pub(crate) async fn uvicorn(flags: &str) -> Option<Server> {
    let mut command = python("uvicorn")?;
    let place = Place::new(1);
    place.write("app.py", include_str!("app.py"));
    command.args(["app:asgi", "--no-use-colors", "--host", "127.0.0.1", "--port", &place.port(PLAIN).to_string()]);
    command.args(flags.split_whitespace());
    Some(place.start("uvicorn", command, Recipe { stop: Signal::TERM, log: "stdout.log", parse: Entry::uvicorn }).await)
}

/// Starts gunicorn with two synchronous workers, which close the connection after each answer.
pub(crate) async fn gunicorn() -> Option<Server> {
    let mut command = python("gunicorn")?;
    let place = Place::new(1);
    place.write("app.py", include_str!("app.py"));
    command.args(["app:wsgi", "--workers", "2", "--worker-class", "sync", "--access-logfile", "access.log"]);
    command.args(["--access-logformat", "%({REMOTE_PORT}e)s %(s)s %(H)s"]);
    command.arg("--bind").arg(format!("127.0.0.1:{}", place.port(PLAIN)));
    Some(place.start("gunicorn", command, Recipe { stop: Signal::TERM, log: "access.log", parse: Entry::plain }).await)
}

/// Returns a call of a module of Python, if there is one.
fn python(module: &str) -> Option<Command> {
    let program = installed("python3")?;
    let import = call(&program, ["-c", &format!("import {module}")]).output().unwrap();
    if !import.status.success() {
        eprintln!("skipped: the Python package {module} is not installed");
        return None;
    }
    Some(call(program, ["-m", module]))
}
