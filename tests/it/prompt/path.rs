//! Where the files are.

use std::path::Path;

use super::Project;

#[test]
fn a_record_has_a_path_whether_it_is_there_or_not() {
    let project = Project::new();
    let folder = project.at(".weakincentives/prompts/overrides");
    let printed = project.run("path").text();
    assert_eq!(Path::new(printed.trim_end()), folder);
    let printed = project.run("path demo/web/welcome@stable").text();
    let file = folder.join("demo/web/welcome/stable.json");
    assert_eq!(Path::new(printed.trim_end()), file);
    assert!(!folder.exists());
}
