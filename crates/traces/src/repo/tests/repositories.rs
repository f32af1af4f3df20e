//! Repositories inside of the one that is recorded, and folders that become such.

use super::*;

fn make_repository(path: &Path) {
    std::fs::create_dir_all(path).unwrap();
    git(path, &["init", "-q"]);
    git(path, &["commit", "-q", "--allow-empty", "-m", "x"]);
}

/// The types of the last commit's files, with their names.
fn kinds(private: &Private) -> Vec<String> {
    let head = private.head().unwrap();
    let listed = private.git().line(&["ls-tree", "-r", head]).unwrap();
    let kind = |line: &str| {
        format!(
            "{}{}",
            &line[..6],
            line[line.find('\t').unwrap()..].replace('\t', " ")
        )
    };
    listed.lines().map(kind).collect()
}

#[test]
fn repositories_inside_are_recorded_by_their_commits() {
    let ground = Ground::with(&[("a", "1\n")]);
    let module = Ground::with(&[("m", "1\n")]);
    let from = module.work();
    ground.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        from.to_str().unwrap(),
        "sub",
    ]);
    ground.commit("with a submodule");
    let before = snapshot(&ground.path(".git"));
    let mut private = ground.begin();
    assert_eq!(names(&private), [".gitmodules", "a", "sub"]);
    ground.write("sub/m", "dirty\n");
    assert_eq!(checkpoint(&mut private), None);
    assert_eq!(snapshot(&ground.path(".git")), before);
    git(&ground.path("sub"), &["commit", "-q", "-a", "-m", "in it"]);
    assert_eq!(checkpoint(&mut private).unwrap(), ["sub"]);
    // One without a commit hides no other file.
    std::fs::create_dir(ground.path("nested")).unwrap();
    git(&ground.path("nested"), &["init", "-q"]);
    ground.write("nested/x", "1");
    ground.write("a", "2\n");
    assert_eq!(checkpoint(&mut private).unwrap(), ["a"]);
    ground.write("a", "3\n");
    assert_eq!(checkpoint(&mut private).unwrap(), ["a"]);
    git(&ground.path("nested"), &["add", "x"]);
    git(&ground.path("nested"), &["commit", "-q", "-m", "x"]);
    assert_eq!(checkpoint(&mut private).unwrap(), ["nested"]);
    write_bundle(&private.git(), "one", &ground.folder.bundle()).unwrap();
    private.finish(&ground.folder.bundle()).unwrap();
}

#[test]
fn a_folder_becomes_a_repository_and_a_folder_again() {
    let ground = Ground::with(&[("a", "1\n")]);
    let mut private = ground.begin();
    std::fs::create_dir(ground.path("n")).unwrap();
    assert_eq!(checkpoint(&mut private), None);
    wait();
    assert_eq!(checkpoint(&mut private), None);
    git(&ground.path("n"), &["init", "-q"]);
    assert_eq!(checkpoint(&mut private), None);
    wait();
    assert_eq!(checkpoint(&mut private), None);
    git(
        &ground.path("n"),
        &["commit", "-q", "--allow-empty", "-m", "x"],
    );
    assert_eq!(checkpoint(&mut private).unwrap(), ["n"]);
    wait();
    std::fs::remove_dir_all(ground.path("n/.git")).unwrap();
    // As a submodule that is not checked out.
    assert_eq!(checkpoint(&mut private), None);
    wait();
    assert_eq!(checkpoint(&mut private), None);
    ground.write("n/f", "1");
    assert_eq!(checkpoint(&mut private).unwrap(), ["n", "n/f"]);
    assert_exact(&private);
    ground.finish_whole(private);
}

#[test]
fn a_submodule_that_is_not_checked_out_stays_with_ignored_files_in_it() {
    let ground = Ground::with(&[("a", "1\n"), (".gitignore", "*.o\n")]);
    let head = ground.git(&["rev-parse", "HEAD"]);
    let link = format!("160000,{},s", head.trim());
    ground.git(&["update-index", "--add", "--cacheinfo", &link]);
    ground.git(&["commit", "-q", "-m", "with a submodule"]);
    ground.write("s/build/x.o", "1");
    let mut private = ground.begin();
    assert_eq!(
        private.head(),
        Some(ground.git(&["rev-parse", "HEAD"]).trim())
    );
    ground.write("a", "2\n");
    assert_eq!(checkpoint(&mut private).unwrap(), ["a"]);
    assert_eq!(names(&private), [".gitignore", "a", "s"]);
    // git cannot write.
    let objects = ground.folder.git_dir().join(crate::repo::objects::FRESH);
    let away = objects.with_extension("away");
    std::fs::rename(&objects, &away).unwrap();
    std::fs::write(&objects, "").unwrap();
    ground.write("a", "3\n");
    private.checkpoint("part 3 checkpoint").unwrap_err();
    std::fs::remove_file(&objects).unwrap();
    std::fs::rename(&away, &objects).unwrap();
    assert_eq!(checkpoint(&mut private).unwrap(), ["a"]);
    ground.write("s/build/y", "1");
    assert_eq!(checkpoint(&mut private).unwrap(), ["s", "s/build/y"]);
}

#[test]
fn a_link_in_place_of_a_repository_is_recorded_as_a_link() {
    let ground = Ground::with(&[("d/n/x", "1"), (".gitignore", "forced\n")]);
    for name in ["n", "deps/n", "forced"] {
        make_repository(&ground.path(name));
    }
    ground.git(&["add", "-f", "forced"]);
    ground.commit("with repositories");
    let mut private = ground.begin();
    settle(&mut private);
    assert_eq!(
        kinds(&private),
        [
            "100644 .gitignore",
            "100644 d/n/x",
            "160000 deps/n",
            "160000 forced",
            "160000 n"
        ]
    );
    for name in ["n", "deps", "forced"] {
        std::fs::remove_dir_all(ground.path(name)).unwrap();
        ground.link(name, "d");
    }
    checkpoint(&mut private).unwrap();
    assert_eq!(
        kinds(&private),
        [
            "100644 .gitignore",
            "100644 d/n/x",
            "120000 deps",
            "120000 forced",
            "120000 n"
        ]
    );
}

#[test]
fn a_folder_above_a_former_repository_becomes_one() {
    let ground = Ground::with(&[("a", "1")]);
    make_repository(&ground.path("p/e"));
    let mut private = ground.begin();
    settle(&mut private);
    std::fs::remove_dir_all(ground.path("p/e/.git")).unwrap();
    std::fs::create_dir(ground.path("p/e/k")).unwrap();
    make_repository(&ground.path("p"));
    checkpoint(&mut private).unwrap();
    assert_eq!(kinds(&private), ["100644 a", "160000 p"]);
}

#[test]
fn files_beside_a_git_that_is_no_repository_are_recorded() {
    let ground = Ground::with(&[("a", "1")]);
    std::fs::create_dir_all(ground.path("empty/.git")).unwrap();
    ground.write("stale/.git", "gitdir: ../../nowhere\n");
    make_repository(&ground.path("former"));
    let mut private = ground.begin();
    settle(&mut private);
    for name in ["empty/f", "stale/f"] {
        ground.write(name, "1");
        assert_eq!(checkpoint(&mut private).unwrap(), [name]);
    }
    std::fs::remove_dir_all(ground.path("former/.git")).unwrap();
    std::fs::create_dir(ground.path("former/.git")).unwrap();
    ground.write("former/f", "1");
    assert_eq!(checkpoint(&mut private).unwrap(), ["former", "former/f"]);
}

#[test]
fn each_commit_of_a_repository_inside_is_seen_however_it_is_kept() {
    let ground = Ground::with(&[("a", "1")]);
    make_repository(&ground.path("plain"));
    git(
        &ground.path("plain"),
        &["config", "core.logAllRefUpdates", "false"],
    );
    std::fs::remove_dir_all(ground.path("plain/.git/logs")).unwrap();
    make_repository(&ground.path("inner/most"));
    ground.git(&["worktree", "add", "-q", "linked"]);
    let mut names = vec!["plain", "inner/most", "linked"];
    let made = base::process::command("git")
        .args(["init", "-q", "--ref-format=reftable"])
        .arg(ground.path("tables"))
        .output();
    if made.unwrap().status.success() {
        names.push("tables");
    }
    for name in &names {
        git(
            &ground.path(name),
            &["commit", "-q", "--allow-empty", "-m", "y"],
        );
    }
    let mut private = ground.begin();
    settle(&mut private);
    for name in names {
        git(
            &ground.path(name),
            &["commit", "-q", "--allow-empty", "-m", "z"],
        );
        assert_eq!(checkpoint(&mut private).unwrap(), [name]);
        settle(&mut private);
        git(&ground.path(name), &["reset", "-q", "--soft", "HEAD~"]);
        assert_eq!(checkpoint(&mut private).unwrap(), [name]);
        settle(&mut private);
    }
}

#[test]
fn a_repository_in_a_folder_that_loses_its_last_file_is_recorded() {
    let ground = Ground::with(&[("a", "1"), ("d/x", "1")]);
    let mut private = ground.begin();
    settle(&mut private);
    make_repository(&ground.path("d"));
    settle(&mut private);
    std::fs::remove_file(ground.path("d/x")).unwrap();
    assert_eq!(checkpoint(&mut private).unwrap(), ["d/x"]);
    assert_eq!(checkpoint(&mut private).unwrap(), ["d"]);
}
