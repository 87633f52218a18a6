#include <multiprocessing/connection.hpp>
#include <multiprocessing/errors.hpp>
#include <multiprocessing/shareable_list.hpp>
#include <multiprocessing/sharedctypes.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <stdexcept>

#include "support/child.hpp"
#include "support/kill_each_step.hpp"
#include "support/party.hpp"
#include "support/round_trip.hpp"

namespace mp {
namespace {

std::vector<std::byte> bytes(std::size_t size) { return std::vector<std::byte>(size, std::byte(7)); }

ShareableList mixed() { return ShareableList{"howdy", bytes(3), -273.154, 100, {}, true, "", 42}; }

// cpython: _TestSharedMemory.test_shared_memory_ShareableList_basics
TEST(ShareableList, HoldsValuesOfMixedTypesAndChangesThemInPlace) {
    ShareableList list = mixed();
    EXPECT_EQ(list.size(), 8U);
    EXPECT_EQ(list.get<std::string>(0), "howdy");
    EXPECT_EQ(list.at(1), ShareableItem(bytes(3)));
    EXPECT_EQ(list.get<double>(2), -273.154);
    EXPECT_EQ(list.get<std::int64_t>(-1), 42);
    EXPECT_EQ(list.get<std::string>(-8), "howdy");
    EXPECT_EQ(list.at(4), ShareableItem());
    EXPECT_TRUE(list.get<bool>(5));
    EXPECT_THROW(list.at(8), std::out_of_range);
    EXPECT_THROW(list.at(-9), std::out_of_range);
    EXPECT_THROW(list.set(8, 1), std::out_of_range);
    EXPECT_THROW(list.get<int64_t>(0), std::bad_variant_access);
    list.set(3, "as text");
    EXPECT_EQ(list.get<std::string>(3), "as text");
    list.set(0, 7.5);
    EXPECT_EQ(list.get<double>(0), 7.5);
    list.set(0, "Howdy!!!");
    EXPECT_EQ(list.capacity(0), 8U);
    EXPECT_THROW(list.set(0, "nine char"), std::length_error);
    EXPECT_EQ(list.get<std::string>(0), "Howdy!!!");
    EXPECT_EQ(list.at(1), ShareableItem(bytes(3))) << "an element spilled into its neighbour";
    EXPECT_EQ(list.count(42), 1U);
    EXPECT_EQ(list.count(43), 0U);
    EXPECT_EQ(list.index(42), 7U);
    EXPECT_EQ(list.index("absent"), std::nullopt);
    const ShareableList copy = list.copy();
    EXPECT_FALSE(copy.is_same(list));
    EXPECT_EQ(copy.items(), list.items());
    copy.set(7, 0);
    EXPECT_EQ(list.get<std::int64_t>(7), 42);
    EXPECT_EQ(ShareableList(std::span<const ShareableItem>()).size(), 0U);
    std::ostringstream text;
    text << ShareableList{1, 2.5, "a", bytes(3), {}, false};
    EXPECT_EQ(text.str(), "ShareableList([1, 2.5, \"a\", 3 bytes, none, false])");
}

// cpython: _TestSharedMemory.test_shared_memory_ShareableList_pickling
class ShareableLists : public test::EveryMethod {};

TEST_P(ShareableLists, TravelAsHandlesWhateverTheyHold) {
    const ShareableList list = mixed();
    EXPECT_TRUE(test::round_trip(list).is_same(list));
    serial::Writer small, large;
    serial::encode(small, list);
    serial::encode(large, ShareableList{std::string(100'000, 'x')});
    EXPECT_EQ(small.bytes().size(), large.bytes().size());
    test::Party party(
        GetParam(),
        [](ShareableList given) {
            given.set(-1, "changed");
            return 0;
        },
        list);
    EXPECT_EQ(party.wait(), 0);
    EXPECT_EQ(list.get<std::string>(7), "changed");
}
MP_EVERY_METHOD(ShareableLists);

// cpython: _TestSharedMemory.test_shared_memory_ShareableList_pickling_dead_object
// A handle keeps the memory, so that a list outlives its maker; what is no list is refused.
TEST(ShareableList, InAMessageOutlivesItsMakerAndNothingElseIsTakenForOne) {
    test::Wire wire;
    test::Child child([&] {
        wire.send(ShareableList{"left behind"});
        return 0;
    });
    EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(wire.receive<ShareableList>().get<std::string>(0), "left behind");
    wire.send(Value<int>(1));
    EXPECT_THROW(wire.receive<ShareableList>(), SerializationError);
}

TEST(ShareableList, SurvivesAKillAtAnyStepOfSetWithTheOldOrTheNewValue) {
    const ShareableList list{"old old old old old!", 5};
    const int steps =
        test::kill_each_step([&] { list.set(0, "new"); },
                             [&](bool finished) {
                                 const auto text = list.get<std::string>(0);
                                 ASSERT_TRUE(text == "new" || (!finished && text == "old old old old old!"));
                                 ASSERT_EQ(list.get<std::int64_t>(1), 5);
                                 list.set(0, "old old old old old!");
                             });
    EXPECT_GE(steps, 3);
}

}  // namespace
}  // namespace mp
