// Files of a session: when they appear and when they do not.
#include <multiprocessing/trace.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include <multiprocessing/errors.hpp>

#include "support/leak_check.hpp"

namespace mp::trace {
namespace {

namespace fs = std::filesystem;
using SessionTest = test::LeakCheck;

class Folder {
  public:
    Folder() {
        std::string name = testing::TempDir() + "session-XXXXXX";
        path_ = ::mkdtemp(name.data());
    }
    ~Folder() { fs::remove_all(path_); }
    fs::path operator/(const char* name) const { return path_ / name; }
    std::size_t files() const { return static_cast<std::size_t>(std::distance(fs::directory_iterator(path_), {})); }

  private:
    fs::path path_;
};

std::string contents(const fs::path& file) {
    std::ifstream stream(file);
    return {std::istreambuf_iterator<char>(stream), {}};
}

TEST_F(SessionTest, WritesItsFilesWhenItEnds) {
    const Folder folder;
    {
        const Session session({folder / "run.json", folder / "run.html"});
        EXPECT_EQ(folder.files(), 0u);
    }
    EXPECT_TRUE(nlohmann::json::accept(contents(folder / "run.json")));
    EXPECT_THAT(contents(folder / "run.html"), testing::StartsWith("<!DOCTYPE html>"));
    EXPECT_EQ(folder.files(), 2u);
}

TEST_F(SessionTest, WritesItsFileWhenAnExceptionEndsIt) {
    const Folder folder;
    try {
        const Session session(folder / "run.json");
        throw std::runtime_error("something else");
    } catch (const std::runtime_error&) {
    }
    EXPECT_TRUE(fs::exists(folder / "run.json"));
}

TEST_F(SessionTest, RefusesAFileThatCannotBeWritten) {
    EXPECT_THROW(Session("/nonexistent/folder/run.json"), SystemError);
    EXPECT_THROW(Session("/tmp"), SystemError);
    const Folder folder;
    const Session session(folder / "run.json");  // and the attempts before have left nothing behind
}

TEST_F(SessionTest, IsAloneAtATime) {
    const Folder folder;
    Session first(folder / "first.json");
    EXPECT_THROW(Session(folder / "second.json"), Error);
    first.finish();
    first.finish();
    const Session third(folder / "third.json");
}

TEST_F(SessionTest, LeavesAnOldFileWholeUntilTheNewOneIs) {
    const Folder folder;
    std::ofstream(folder / "run.json") << "old";
    Session session(folder / "run.json");
    EXPECT_EQ(contents(folder / "run.json"), "old");
    session.finish();
    EXPECT_NE(contents(folder / "run.json"), "old");
    EXPECT_EQ(folder.files(), 1u);
}

TEST_F(SessionTest, DoesNothingInAFork) {
    const Folder folder;
    auto session = std::make_unique<Session>(folder / "run.json");
    const pid_t child = ::fork();
    if (child == 0) {
        session.reset();
        ::_exit(0);
    }
    ::waitpid(child, nullptr, 0);
    EXPECT_EQ(folder.files(), 0u);
    session.reset();
    EXPECT_EQ(folder.files(), 1u);
}

}  // namespace
}  // namespace mp::trace
