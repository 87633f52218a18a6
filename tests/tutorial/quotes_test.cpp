// The README and docs/tutorial.md quote programs; what they quote is what these say.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>

namespace {

const std::string repository = REPOSITORY "/";

std::string read(const std::string& path) {
    std::ifstream file(repository + path);
    EXPECT_TRUE(file) << path;
    return {std::istreambuf_iterator<char>(file), {}};
}

// The programs that a text quotes; each block of C++ must stand in the program that is named last above it:
// [`01_serial.cpp`](../examples/tutorial/01_serial.cpp)
std::multiset<std::string> quoted_by(const std::string& path) {
    std::ifstream text(repository + path);
    EXPECT_TRUE(text) << path;
    std::string source, block;
    std::multiset<std::string> quoted;
    bool inside = false;
    for (std::string line; std::getline(text, line);) {
        const auto begin = line.find("examples/", line.find("]("));
        if (!inside && line.find("](") != std::string::npos && begin != std::string::npos)
            source = line.substr(begin, line.find(')', begin) - begin);
        if (!inside && line == "```cpp") {
            inside = true;
            block.clear();
        } else if (inside && line == "```") {
            inside = false;
            EXPECT_NE(source, "") << "a block that names no program:\n" << block;
            EXPECT_NE(read(source).find(block), std::string::npos) << source << " does not say:\n" << block;
            quoted.insert(source);
        } else if (inside) {
            block += line + "\n";
        }
    }
    EXPECT_FALSE(inside);
    return quoted;
}

TEST(TutorialText, QuotesTheProgramsVerbatim) {
    const auto quoted = quoted_by("docs/tutorial.md");
    for (const char* chapter : {"01_serial", "02_two_processes", "03_value_and_queue", "04_many_workers", "05_pool",
                                "06_own_worker", "07_own_memory", "08_pipe", "09_camera"})
        EXPECT_GE(quoted.count("examples/tutorial/" + std::string(chapter) + ".cpp"), 1u) << chapter;
}

TEST(Readme, QuotesItsProgramsVerbatim) {
    const auto quoted = quoted_by("README.md");
    for (const char* program : {"first", "crash"})
        EXPECT_EQ(quoted.count("examples/readme/" + std::string(program) + ".cpp"), 1u) << program;
}

}  // namespace
