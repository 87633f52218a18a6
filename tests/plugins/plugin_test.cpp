// Functions of plugins and of shared libraries, called in workers that know nothing of them when they start.
#include "plugins/plugin.hpp"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include <multiprocessing/errors.hpp>

#include "process/forkserver.hpp"
#include "support/leak_check.hpp"

extern "C" const plugin::Interface linked_plugin;

namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

const bool server_is_no_leak = mp::test::at_quiesce([] { mp::process::Forkserver::shut_down_shared(); });

/// A plugin loaded from a file of its own, so that it can be replaced.
class Loaded {
  public:
    explicit Loaded(const fs::path& path) : handle_(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL), &::dlclose) {
        if (!handle_) throw std::runtime_error(::dlerror());
    }
    const plugin::Interface* operator->() const {
        return static_cast<const plugin::Interface*>(::dlsym(handle_.get(), "test_plugin"));
    }

  private:
    std::unique_ptr<void, int (*)(void*)> handle_;
};

class APlugin : public mp::test::LeakCheck {
  protected:
    void SetUp() override {
        mp::test::LeakCheck::SetUp();
        std::string name = fs::temp_directory_path() / "plugin-XXXXXX";
        folder_ = ::mkdtemp(name.data());
        install(PLUGIN_TWO);
    }
    void TearDown() override {
        fs::remove_all(folder_);
        mp::test::LeakCheck::TearDown();
    }

    /// Puts that build in the plugin's place, as an installation does: a new file under the old name.
    void install(const char* build) {
        fs::copy_file(build, folder_ / "new", fs::copy_options::overwrite_existing);
        fs::rename(folder_ / "new", path());
    }
    fs::path path() const { return folder_ / "plugin.so"; }

    template <class Call>
    std::string refusal(Call call) {
        try {
            call();
        } catch (const mp::Error& error) {
            return error.what();
        }
        return "no error";
    }

    fs::path folder_;
};

TEST_F(APlugin, LoadedAfterTheWorkersStartedHasItsFunctionsRunInThem) {
    mp::Pool pool(2);
    EXPECT_EQ(pool.apply([](int x) { return x; }, 1), 1);
    const Loaded two(path());
    const auto answer = two->submit_lambda(pool, 4);
    EXPECT_EQ(answer.second, 8);
    EXPECT_NE(answer.first, ::getpid());
    for (const auto& [pid, value] : two->map_function(pool, {7, 7, 7})) {
        EXPECT_NE(pid, ::getpid());
        EXPECT_EQ(value, 14);
    }
    EXPECT_THAT(two->map_capture(pool, 1, {1, 2}), ElementsAre(3, 5));
    EXPECT_EQ(pool.apply(two->plain, 3), 6);
}

TEST_F(APlugin, MayHoldTheTargetOfAProcess) {
    const Loaded two(path());
    EXPECT_EQ(two->run_process(40), 42);
}

TEST_F(APlugin, RebuiltSinceItWasLoadedIsATypedErrorAndThePoolGoesOn) {
    mp::Pool pool(2);
    const Loaded two(path());
    install(PLUGIN_THREE);
    EXPECT_THAT(refusal([&] { two->submit_lambda(pool, 4); }),
                AllOf(HasSubstr("another build of"), HasSubstr(path().string())));
    EXPECT_THAT(refusal([&] { two->map_function(pool, {1, 2, 3}); }), HasSubstr("another build of"));
    EXPECT_THAT(refusal([&] { pool.apply(two->plain, 3); }), HasSubstr("another build of"));
    EXPECT_EQ(pool.apply([](int x) { return x; }, 1), 1);
    install(PLUGIN_TWO);
    EXPECT_THAT(two->map_capture(pool, 1, {1, 2}), ElementsAre(3, 5));
}

TEST_F(APlugin, RemovedSinceItWasLoadedIsATypedError) {
    mp::Pool pool(1);
    const Loaded two(path());
    fs::remove(path());
    EXPECT_THAT(refusal([&] { two->submit_lambda(pool, 4); }),
                AllOf(HasSubstr("cannot load"), HasSubstr(path().string()), HasSubstr("No such file")));
}

TEST_F(APlugin, LoadedInThePlaceOfAnUnloadedOneIsNotTakenForIt) {
    mp::Pool pool(1);
    {
        const Loaded two(path());
        EXPECT_EQ(two->submit_lambda(pool, 4).second, 8);
        EXPECT_EQ(pool.apply(two->plain, 4), 8);
    }
    // As a rule at the same address: same size, and the place has just become free.
    const Loaded three(PLUGIN_THREE);
    EXPECT_EQ(three->submit_lambda(pool, 4).second, 12);
    EXPECT_EQ(pool.apply(three->plain, 4), 12);
    EXPECT_THAT(three->map_capture(pool, 1, {1, 2}), ElementsAre(4, 7));
}

TEST_F(APlugin, OfTwoBuildsBothMayBeLoadedAtOnce) {
    mp::Pool pool(2);
    const Loaded two(path());
    const Loaded three(PLUGIN_THREE);
    EXPECT_EQ(two->submit_lambda(pool, 4).second, 8);
    EXPECT_EQ(three->submit_lambda(pool, 4).second, 12);
    EXPECT_EQ(pool.apply(two->plain, 4), 8);
    EXPECT_EQ(pool.apply(three->plain, 4), 12);
}

TEST_F(APlugin, MayBeLinkedAsASharedLibrary) {
    mp::Pool pool(2);
    EXPECT_EQ(linked_plugin.submit_lambda(pool, 4).second, 20);
    EXPECT_THAT(linked_plugin.map_capture(pool, 1, {1, 2}), ElementsAre(6, 11));
    EXPECT_EQ(pool.apply(linked_plugin.plain, 3), 15);
    EXPECT_EQ(linked_plugin.run_process(2), 7);
}

}  // namespace
