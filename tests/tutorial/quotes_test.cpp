// docs/tutorial.md quotes the programs; what it quotes is what they say.
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

TEST(TutorialText, QuotesTheProgramsVerbatim) {
    std::ifstream text(repository + "docs/tutorial.md");
    ASSERT_TRUE(text);
    std::string source, block;
    std::set<std::string> quoted;
    bool inside = false;
    for (std::string line; std::getline(text, line);) {
        // Above each block stands [`01_serial.cpp`](../examples/tutorial/01_serial.cpp)
        const auto begin = line.find("](../");
        if (!inside && begin != std::string::npos) source = line.substr(begin + 5, line.find(')', begin) - begin - 5);
        if (!inside && line == "```cpp") {
            inside = true;
            block.clear();
        } else if (inside && line == "```") {
            inside = false;
            ASSERT_NE(source, "") << "a block that names no program:\n" << block;
            EXPECT_NE(read(source).find(block), std::string::npos) << source << " does not say:\n" << block;
            quoted.insert(source);
        } else if (inside) {
            block += line + "\n";
        }
    }
    EXPECT_FALSE(inside);
    for (const char* chapter : {"01_serial", "02_two_processes", "03_value_and_queue", "04_many_workers", "05_pool",
                                "06_own_worker", "07_own_memory", "08_pipe", "09_camera"})
        EXPECT_EQ(quoted.count("examples/tutorial/" + std::string(chapter) + ".cpp"), 1u) << chapter;
}

}  // namespace
