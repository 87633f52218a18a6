// The programs of examples/recipes do what their first lines say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "support/run_program.hpp"
#include "support/sanitizers.hpp"

namespace {

namespace fs = std::filesystem;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

class Recipe : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/mp-recipe-XXXXXX";
        ASSERT_NE(::mkdtemp(name), nullptr);
        folder = name;
    }
    void TearDown() override { fs::remove_all(folder); }

    mp::test::ProgramResult run(const std::string& name, std::vector<std::string> arguments = {}) {
        arguments.insert(arguments.begin(), RECIPES + name);
        return mp::test::run_program(arguments);
    }
    std::string file(const std::string& name, const std::string& text) {
        std::ofstream(folder / name, std::ios::binary) << text;
        return (folder / name).string();
    }
    static std::vector<std::string> lines(const std::string& text) {
        std::istringstream in(text);
        std::vector<std::string> all;
        for (std::string line; std::getline(in, line);) all.push_back(line);
        return all;
    }

    fs::path folder;
};

TEST_F(Recipe, WordCountAddsUpAllFilesAndNamesTheOneItCannotRead) {
    const auto one = file("one", "The cat, the dog.\n");
    const auto two = file("two", "A dog and THE end: end!\n");
    const auto result = run("recipes_word_count", {one, folder / "missing", two});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.out, "     3 the\n     2 dog\n     2 end\n     1 a\n     1 and\n     1 cat\n");
    EXPECT_THAT(result.err, HasSubstr("cannot open " + (folder / "missing").string()));
}

TEST_F(Recipe, ACorruptPictureCostsOneThumbnail) {
    MP_SKIP_UNDER_SANITIZERS("they report the crash and exit");
    fs::create_directory(folder / "in");
    const std::string pixels(64 * 48 * 3, 'x');
    for (const char* name : {"in/a.ppm", "in/b.ppm", "in/d.ppm"}) file(name, "P6 64 48 255\n" + pixels);
    file("in/c.ppm", "P6 90000 90000 255\n" + pixels);
    file("in/e.ppm", "GIF89a");
    const auto result = run("recipes_thumbnails", {folder / "in", folder / "out"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const auto said = lines(result.out);
    EXPECT_THAT(result.out, HasSubstr("a.ppm: 32 x 24\nb.ppm: 32 x 24\nc.ppm: "));
    EXPECT_THAT(result.out, ContainsRegex("c\\.ppm: .*killed by SIG(SEGV|BUS)"));
    EXPECT_THAT(result.out, HasSubstr("d.ppm: 32 x 24\n"));
    EXPECT_THAT(result.out, ContainsRegex("e\\.ppm: .*e\\.ppm is no PPM picture"));
    EXPECT_EQ(said.back(), "3 thumbnails, 2 failed");
    EXPECT_EQ(fs::file_size(folder / "out/a.ppm"), std::string("P6 32 24 255\n").size() + 32 * 24 * 3);
    EXPECT_FALSE(fs::exists(folder / "out/c.ppm"));
}

TEST_F(Recipe, ProgramsAreListedInOrderWithTheirEndings) {
    const auto result = run("recipes_run_programs", {"sleep 0.2", "exit 3", "kill -9 $$", "true"});
    EXPECT_EQ(result.exit_code, 1);
    const auto said = lines(result.out);
    ASSERT_EQ(said.size(), 6u) << result.out << result.err;
    EXPECT_THAT(said[0], MatchesRegex("ended +seconds  command"));
    EXPECT_THAT(said[1], MatchesRegex("exit 0 +[0-9]+\\.[0-9]{2}  sleep 0\\.2"));
    EXPECT_THAT(said[2], MatchesRegex("exit 3 +[0-9.]+  exit 3"));
    EXPECT_THAT(said[3], MatchesRegex("signal 9 +[0-9.]+  kill -9 \\$\\$"));
    EXPECT_THAT(said[4], MatchesRegex("exit 0 +[0-9.]+  true"));
    EXPECT_EQ(said[5], "4 commands, 2 failed");
}

TEST_F(Recipe, AServiceIsStartedAgainUntilItDiesTooOften) {
    const auto result = run("recipes_service");
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out,
              "2 squared is 4\n3 squared is 9\n"
              "service aborted on 13\nservice started again\n4 squared is 16\n"
              "service aborted on 13\nservice started again\n5 squared is 25\n"
              "service aborted on 13\nthe service dies too often\n");
}

TEST_F(Recipe, EveryLogLineIsWholeAndInTheFile) {
    const auto path = (folder / "log").string();
    const auto result = run("recipes_logging", {path});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "logged to " + path + "\n");
    std::ifstream log(path);
    const std::regex whole(R"(\d+ (INFO|WARNING) \[\d+\] task (\d+) (begins|looks odd|is done))");
    std::map<std::string, int> seen;
    for (std::string line; std::getline(log, line);) {
        std::smatch parts;
        ASSERT_TRUE(std::regex_match(line, parts, whole)) << line;
        ++seen[parts[3]];
    }
    EXPECT_EQ(seen, (std::map<std::string, int>{{"begins", 100}, {"is done", 100}, {"looks odd", 10}}));
}

TEST_F(Recipe, TheCrashTestKeepsNineteenResultsAndItsPool) {
    const auto result = run("crash_test");
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("| multiprocessing (this library) | 19 | 1: "));
    EXPECT_THAT(result.out, ContainsRegex("work\\(#7, attempt 1\\): worker [0-9]+ killed by SIGKILL"));
    EXPECT_THAT(result.out, HasSubstr("| alive |\n"));
}

}  // namespace
