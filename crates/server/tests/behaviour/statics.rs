use std::fs;

use shearwater_server::Mount;

use crate::world::World;

#[tokio::test]
async fn files_have_the_types_and_headers_a_service_worker_needs() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for dir in ["app", "app/sub", "dist"] {
        fs::create_dir(at(dir)).unwrap();
    }
    for file in ["app/index.html", "app/sub/index.html", "app/sw.js", "app/a.webmanifest", "dist/w.wasm", "dist/p.mjs"] {
        fs::write(at(file), file).unwrap();
    }
    let world = World::with(|options| {
        options.static_dir = Some(at("app"));
        options.mounts = vec![Mount::parse(&format!("/lib={}", at("dist").display())).unwrap()];
        options.csp = Some("default-src 'self'".parse().unwrap());
    })
    .await;
    for (path, content_type) in [
        ("/", "text/html"),
        ("/sub/", "text/html"),
        ("/sub", "text/html"),
        ("/sw.js", "text/javascript"),
        ("/a.webmanifest", "application/manifest+json"),
        ("/lib/w.wasm", "application/wasm"),
        ("/lib/p.mjs", "text/javascript"),
    ] {
        let reply = world.request("GET", path).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{path}");
        assert_eq!(reply.headers()["content-type"], content_type, "{path}");
        assert_eq!(reply.headers()["cache-control"], "no-cache");
        assert_eq!(reply.headers()["content-security-policy"], "default-src 'self'");
        let script = content_type == "text/javascript";
        assert_eq!(reply.headers().contains_key("service-worker-allowed"), script, "{path}");
    }
    for missing in ["/none.js", "/lib/none.js", "/demo/control", "/../Cargo.toml"] {
        assert_eq!(world.request("GET", missing).send().await.unwrap().status(), 404, "{missing}");
    }
    assert_eq!(world.seen("/arrivals/count").await["count"], 0);
}

#[tokio::test]
async fn a_folder_under_a_mount_is_found_without_its_slash() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("sub/index.html"), "here").unwrap();
    let mount = Mount::parse(&format!("/lib={}", folder.path().display())).unwrap();
    let world = World::with(|options| options.mounts = vec![mount]).await;
    let reply = world.request("GET", "/lib/sub").send().await.unwrap();
    assert_eq!(reply.url().path(), "/lib/sub/");
    assert_eq!(reply.text().await.unwrap(), "here");
}

#[tokio::test]
async fn a_file_changed_within_a_second_is_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let world = World::with(|options| options.static_dir = Some(dir.to_owned())).await;
    for version in ["1", "2"] {
        fs::write(dir.join("sw.js"), version).unwrap();
        let request = world.request("GET", "/sw.js").header("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT");
        assert_eq!(request.send().await.unwrap().text().await.unwrap(), version);
    }
}
