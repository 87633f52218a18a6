// Functions that were generated at run time, as a REPL does it: here records copied into memory of no file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <new>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <multiprocessing/detail/entry.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/serialize.hpp>

#include "identity/test_kind.hpp"
#include "support/round_trip.hpp"

namespace {

using mp::detail::CodeId;
using mp::detail::EntryId;
using ::testing::HasSubstr;

template <int N>
int times(int x) {
    return N * x;
}

using Record = mp::detail::Entry<TestKind::Signature>;

// A page of memory that belongs to no file.
class Page {
  public:
    explicit Page(int rights = PROT_READ | PROT_WRITE)
        : memory_(::mmap(nullptr, 4096, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
        EXPECT_NE(memory_, MAP_FAILED);
    }
    Page(const Page&) = delete;
    ~Page() { unmap(); }
    void unmap() {
        if (memory_) ::munmap(memory_, 4096);
        memory_ = nullptr;
    }
    void* get() const { return memory_; }
    template <int N>
    const Record& hold() {
        return *new (memory_) Record(mp::detail::entry_record<TestKind, &times<N>, std::integral_constant<int, N>>);
    }

  private:
    void* memory_;
};

// What a forked child says.
std::string in_child(const std::function<std::string()>& say) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
        const std::string text = say();
        static_cast<void>(!::write(ends[1], text.data(), text.size()));
        ::_exit(0);
    }
    ::close(ends[1]);
    std::string text;
    char buffer[4096];
    for (ssize_t got; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;)
        text.append(buffer, static_cast<std::size_t>(got));
    ::close(ends[0]);
    EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
    return text;
}

TEST(GeneratedRecord, IsFoundHereAndInALaterFork) {
    Page page;
    const Record& record = page.hold<3>();
    EXPECT_FALSE(mp::detail::lies_in_module(record));
    const EntryId id = mp::detail::identify(record);
    EXPECT_EQ(&mp::detail::resolve<TestKind>(id), &record);
    EXPECT_EQ(in_child([&] { return std::to_string(mp::detail::resolve<TestKind>(id).code(5)); }), "15");
}

TEST(GeneratedRecord, IsNotFoundInAForkThatIsOlder) {
    Page page;
    Page other;
    static_cast<void>(mp::detail::identify(other.hold<6>()));
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const std::string answer = in_child([&] {
        // In the child the name comes from the child: the parent has never heard of it.
        const EntryId id = mp::detail::identify(page.hold<7>());
        mp::serial::Writer writer;
        mp::serial::encode(writer, id);
        static_cast<void>(!::write(ends[1], writer.bytes().data(), writer.bytes().size()));
        return refusal(id);
    });
    EXPECT_EQ(answer, "accepted");
    std::vector<std::byte> bytes(4096);
    const ssize_t got = ::read(ends[0], bytes.data(), bytes.size());
    ::close(ends[0]);
    ::close(ends[1]);
    ASSERT_GT(got, 0);
    const std::span<const std::byte> received(bytes.data(), static_cast<std::size_t>(got));
    mp::serial::Reader reader(received);
    const auto id = mp::serial::decode<EntryId>(reader);
    page.hold<7>();  // even with the same bytes in the same place
    EXPECT_THAT(refusal(id), HasSubstr("generated at run time"));
    EXPECT_THAT(refusal(id), HasSubstr("mp::StartMethod::fork"));
}

TEST(GeneratedRecord, KeepsItsNameAndLosesItToAnotherInItsPlace) {
    Page page;
    const EntryId first = mp::detail::identify(page.hold<3>());
    EXPECT_EQ(mp::detail::identify(page.hold<3>()), first);
    const EntryId second = mp::detail::identify(page.hold<4>());
    EXPECT_NE(second, first);
    EXPECT_THAT(refusal(first), HasSubstr("function with other types"));
    EXPECT_EQ(mp::detail::resolve<TestKind>(second).code(2), 8);
}

TEST(GeneratedRecord, IsRefusedWhenItsMemoryIsFreedOrNotReadable) {
    Page page;
    const EntryId id = mp::detail::identify(page.hold<3>());
    ASSERT_EQ(::mprotect(page.get(), 4096, PROT_NONE), 0);
    EXPECT_THAT(refusal(id), HasSubstr("holds no data"));
    page.unmap();
    EXPECT_THAT(refusal(id), HasSubstr("memory has been freed"));
}

TEST(GeneratedRecord, IsRefusedByAFalseNumberOrToken) {
    Page page;
    EntryId id = mp::detail::identify(page.hold<3>());
    id.module.generated += 1000;
    EXPECT_THAT(refusal(id), HasSubstr("generated at run time"));
    id = mp::detail::identify(page.hold<3>());
    id.module.build_id[0] ^= std::byte{1};
    EXPECT_THAT(refusal(id), HasSubstr("generated at run time"));
}

TEST(GeneratedRecord, KeepsItsNameOnTheWire) {
    Page page;
    const EntryId id = mp::detail::identify(page.hold<3>());
    EXPECT_EQ(mp::test::round_trip(id), id);
}

TEST(GeneratedCode, IsFoundWhereItMayRun) {
    Page page(PROT_READ | PROT_EXEC);
    const auto code = reinterpret_cast<void (*)()>(page.get());
    const CodeId id = mp::detail::identify_code(code);
    EXPECT_EQ(mp::detail::resolve_code(id), code);
    ASSERT_EQ(::mprotect(page.get(), 4096, PROT_READ), 0);
    EXPECT_THROW(mp::detail::resolve_code(id), mp::Error);
    EXPECT_THROW(mp::detail::identify_code(code), mp::Error);
    page.unmap();
    EXPECT_THROW(mp::detail::resolve_code(id), mp::Error);
    EXPECT_THROW(mp::detail::identify_code(code), mp::Error);
}

}  // namespace
