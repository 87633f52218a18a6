#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <dlfcn.h>

#include <string>

#include <multiprocessing/detail/entry.hpp>
#include <multiprocessing/errors.hpp>

#include "identity/test_kind.hpp"

namespace {

using mp::detail::EntryId;
using mp::detail::EntryRecord;
using ::testing::HasSubstr;

struct OtherKind {
    using Signature = int(int);
    static constexpr std::string_view name = "other test";
};

template <class F>
int call(int x) {
    return F{}(x);
}

template <class F>
constexpr const auto& record_of = mp::detail::entry_record<TestKind, &call<F>, F>;

template <class F>
const EntryRecord& record(F) {
    return record_of<F>;
}

struct InAnonymousNamespace {
    int operator()(int x) const { return x * 3; }
};
template <int N>
struct Multiply {
    int operator()(int x) const { return x * N; }
};

TEST(EntryRecord, IsFoundAgainByItsName) {
    const auto& entry = record_of<InAnonymousNamespace>;
    const EntryId id = mp::detail::identify(entry);
    EXPECT_EQ(&mp::detail::resolve<TestKind>(id), &entry);
    EXPECT_EQ(mp::detail::resolve<TestKind>(id).code(5), 15);
    EXPECT_GT(id.module.size, 0);
}

TEST(EntryRecord, TellsTemplateInstancesAndEqualLambdasApart) {
    const auto id = [](const auto& f) { return mp::detail::identify(record(f)); };
    EXPECT_NE(id(Multiply<2>()), id(Multiply<3>()));
    EXPECT_NE(id(Multiply<2>()).type_hash, id(Multiply<3>()).type_hash);
    const auto one = [](int x) { return x + 1; };
    const auto two = [](int x) { return x + 1; };
    EXPECT_NE(id(one), id(two));
    EXPECT_EQ(mp::detail::resolve<TestKind>(id(two)).code(1), 2);
}

TEST(Resolve, RefusesOtherTypesAtThatPlace) {
    EntryId id = mp::detail::identify(record_of<InAnonymousNamespace>);
    ++id.type_hash;
    EXPECT_THAT(refusal(id), HasSubstr("is the record of a function with other types"));
}

TEST(Resolve, RefusesAnotherKind) {
    const EntryId id = mp::detail::identify(mp::detail::entry_record<OtherKind, &call<Multiply<2>>, Multiply<2>>);
    EXPECT_THAT(refusal(id), HasSubstr("is the record of another kind of function"));
}

TEST(Resolve, RefusesEveryOtherPlace) {
    const EntryId id = mp::detail::identify(record_of<InAnonymousNamespace>);
    for (const std::uint64_t offset : {id.offset + 1, id.offset + 8, id.offset - 8, std::uint64_t{0}, ~std::uint64_t{0},
                                       ~std::uint64_t{7}, std::uint64_t{1} << 40, std::uint64_t{1} << 63}) {
        EntryId wrong = id;
        wrong.offset = offset;
        EXPECT_THAT(refusal(wrong), HasSubstr("cannot find a function: offset")) << offset;
    }
}

TEST(Resolve, NamesTheProgramWhenTheWorkerRunsAnotherBuild) {
    EntryId id = mp::detail::identify(record_of<InAnonymousNamespace>);
    id.module.build_id[0] ^= std::byte{1};
    EXPECT_THAT(refusal(id), HasSubstr("the worker runs another build of /"));
    EXPECT_THAT(refusal(id), HasSubstr("test_identity"));
}

TEST(Resolve, NamesTheLibraryItCannotLoad) {
    EntryId id = mp::detail::identify(record_of<InAnonymousNamespace>);
    id.module.build_id[0] ^= std::byte{1};
    id.module.path = "/no/such/plugin.so";
    EXPECT_THAT(refusal(id), HasSubstr("the worker cannot load /no/such/plugin.so: No such file or directory"));
    id.module.path = "libc.so.6";
    EXPECT_THAT(refusal(id), HasSubstr("its path is not absolute"));
    id.module.path = "/proc/self/exe";
    EXPECT_THAT(refusal(id), HasSubstr("another build of /proc/self/exe"));
    id.module.path = "/dev/null";
    EXPECT_THAT(refusal(id), HasSubstr("is not a shared library"));
}

TEST(Resolve, RefusesANameWithoutModule) {
    EntryId id = mp::detail::identify(record_of<InAnonymousNamespace>);
    id.module.size = 0;
    EXPECT_THAT(refusal(id), HasSubstr("named without build-id"));
    id.module.size = 255;
    EXPECT_THAT(refusal(id), HasSubstr("another build"));
}

int twice(int x) { return 2 * x; }

TEST(CodeId, IsFoundAgainAndMayBeNull) {
    const auto code = reinterpret_cast<void (*)()>(&twice);
    EXPECT_EQ(mp::detail::resolve_code(mp::detail::identify_code(code)), code);
    EXPECT_EQ(mp::detail::resolve_code(mp::detail::identify_code(nullptr)), nullptr);
    const auto elsewhere = reinterpret_cast<void (*)()>(::dlsym(RTLD_DEFAULT, "getpid"));
    EXPECT_EQ(mp::detail::resolve_code(mp::detail::identify_code(elsewhere)), elsewhere);
}

TEST(CodeId, RefusesDataAndNothing) {
    mp::detail::CodeId id = mp::detail::identify_code(reinterpret_cast<void (*)()>(&twice));
    id.offset = mp::detail::identify(record_of<InAnonymousNamespace>).offset;
    EXPECT_THROW(mp::detail::resolve_code(id), mp::Error);
    id.offset = ~std::uint64_t{0};
    EXPECT_THROW(mp::detail::resolve_code(id), mp::Error);
}

}  // namespace
