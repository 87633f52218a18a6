// What the guide, the tutorial and the README quote stands in programs, and the guide's programs print what they say.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "support/run_program.hpp"
#include "support/sanitizers.hpp"

namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
    std::ifstream file(path);
    EXPECT_TRUE(file) << path;
    return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<fs::path> files(const std::string& folder, const std::string& extension) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(fs::path(REPOSITORY) / folder))
        if (entry.path().extension() == extension) found.push_back(entry.path());
    std::ranges::sort(found);
    return found;
}

// Each block of C++ in a page stands, as it is, in the program that the last link above it leads to. Returns the names
// of the programs.
std::set<std::string> check_quotes(const fs::path& page) {
    std::set<std::string> quoted;
    std::ifstream text(page);
    fs::path source;
    std::string block;
    bool inside = false;
    for (std::string line; std::getline(text, line);) {
        const auto link = line.rfind("](");
        const auto end = link == std::string::npos ? link : line.find(')', link);
        if (!inside && end != std::string::npos && line.substr(link + 2, end - link - 2).ends_with(".cpp"))
            source = page.parent_path() / line.substr(link + 2, end - link - 2);
        if (!inside && line == "```cpp") {
            inside = true;
            block.clear();
        } else if (inside && line == "```") {
            inside = false;
            EXPECT_FALSE(source.empty()) << page << ": a block that names no program:\n" << block;
            quoted.insert(source.stem().string());
            EXPECT_NE(read(source).find(block), std::string::npos) << page << ": " << source << " does not say:\n"
                                                                   << block;
        } else if (inside) {
            block += line + "\n";
        }
    }
    EXPECT_FALSE(inside) << page;
    return quoted;
}

TEST(TutorialText, QuotesTheProgramsOfAllChaptersVerbatim) {
    EXPECT_EQ(check_quotes(fs::path(REPOSITORY) / "docs/tutorial.md"),
              (std::set<std::string>{"01_serial", "02_two_processes", "03_value_and_queue", "04_many_workers",
                                     "05_pool", "06_own_worker", "07_own_memory", "08_pipe", "09_camera"}));
}

TEST(Readme, QuotesItsProgramsVerbatim) {
    EXPECT_EQ(check_quotes(fs::path(REPOSITORY) / "README.md"), (std::set<std::string>{"first", "crash"}));
}

TEST(Guide, QuotesItsProgramsVerbatim) {
    const auto pages = files("docs/guide", ".md");
    EXPECT_GE(pages.size(), 12u);
    for (const auto& page : pages) check_quotes(page);
}

TEST(Guide, ItsProgramsPrintWhatTheirLastLinesSay) {
    const auto programs = files("docs/snippets", ".cpp");
    EXPECT_GE(programs.size(), 6u);
    for (const auto& program : programs) {
#if MP_UNDER_SANITIZER
        // Has a memory limit, below what sanitizers take for themselves.
        if (program.stem() == "failures") continue;
#endif
        const std::string source = read(program);
        const std::string mark = "\n// Prints:\n";
        const auto at = source.find(mark);
        ASSERT_NE(at, std::string::npos) << program;
        std::string expected;
        std::istringstream lines(source.substr(at + mark.size()));
        for (std::string line; std::getline(lines, line);)
            expected += line.substr(std::min<std::size_t>(3, line.size())) + "\n";
        const auto result = mp::test::run_program({SNIPPETS + program.stem().string()});
        EXPECT_EQ(result.exit_code, 0) << program << result.err;
        EXPECT_EQ(result.out, expected) << program;
    }
}

}  // namespace
