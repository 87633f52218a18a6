// The file for Perfetto and chrome://tracing, held against the format's description.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "trace/json.hpp"
#include "trace/sample_recording.hpp"

namespace mp::trace {
namespace {

using Json = nlohmann::json;

TEST(ChromeJson, KeepsToTheFormat) {
    const Json trace = Json::parse(chrome_json(test::sample_recording(50, 3, 1e6)));
    EXPECT_EQ(trace.at("displayTimeUnit"), "ns");
    std::map<std::string, int> phases;
    for (const Json& event : trace.at("traceEvents")) {
        const std::string phase = event.at("ph");
        ++phases[phase];
        EXPECT_TRUE(event.at("pid").is_number_integer());
        EXPECT_TRUE(event.at("tid").is_number_integer());
        EXPECT_TRUE(event.at("name").is_string());
        EXPECT_TRUE(!event.contains("args") || event.at("args").is_object());
        if (phase == "M") {
            const std::set<std::string> known{"process_name", "process_sort_index", "thread_name", "thread_sort_index"};
            EXPECT_TRUE(known.contains(event.at("name"))) << event;
            EXPECT_TRUE(event.at("args").contains("name") || event.at("args").at("sort_index").is_number_integer());
            continue;
        }
        EXPECT_TRUE(event.at("ts").is_number());
        EXPECT_GE(event.at("ts").get<double>(), 0);
        if (phase == "X")
            EXPECT_GE(event.at("dur").get<double>(), 0);
        else if (phase == "i")
            EXPECT_EQ(event.at("s"), "t");
        else if (phase == "C")
            EXPECT_TRUE(event.at("args").begin()->is_number());
        else
            ADD_FAILURE() << "an event of a kind that is not written: " << event;
    }
    EXPECT_EQ(phases["X"], 50);
    EXPECT_EQ(phases["M"], 2 + 2 * 3);
    EXPECT_EQ(phases["i"], 3 * 2 + 4);
}

TEST(ChromeJson, NestsNoTasksOfOneWorker) {
    const Json trace = Json::parse(chrome_json(test::sample_recording(500, 2, 1e5)));
    std::map<int, double> ends;
    for (const Json& event : trace.at("traceEvents")) {
        if (event.at("ph") != "X") continue;
        double& end = ends[event.at("tid")];
        EXPECT_GE(event.at("ts").get<double>(), end - 0.002);
        end = event.at("ts").get<double>() + event.at("dur").get<double>();
    }
    EXPECT_EQ(ends.size(), 2u);
}

TEST(ChromeJson, OfNothingIsValid) { EXPECT_TRUE(Json::parse(chrome_json(Recording())).at("traceEvents").empty()); }

TEST(ChromeJson, SurvivesHostileLabels) {
    Recording recording = test::sample_recording(3, 1, 1e6, false);
    recording.program = "\xff\xfe a \"quoted\" program\n";
    recording.pools[0].name = "</script><script>alert(1)</script>";
    recording.pools[0].labels[1] = std::string("\x01\x80 line\nbreak \xf0\x9f\x98\x80 \\", 20);
    const Json trace = Json::parse(chrome_json(recording));
    EXPECT_EQ(trace.at("otherData").at("program"), "\ufffd\ufffd a \"quoted\" program\n");
    EXPECT_THAT(trace.at("traceEvents").at(0).at("args").at("name"), testing::HasSubstr("</script>"));
}

TEST(JsonText, IsWhatAnyParserReadsBack) {
    for (const std::string text : {"", "plain", "größer als 3 µs", "\t\"\\/\b", "<b>", "\xed\xa0\x80", "\xc0\xaf",
                                   "\xf4\x90\x80\x80", "\xe2\x82"}) {
        const std::string json = json_text(text);
        EXPECT_TRUE(Json::accept(json)) << text;
        EXPECT_EQ(json.find('<'), std::string::npos);
    }
    EXPECT_EQ(Json::parse(json_text("größer <b>\x7f\n")), "größer <b>\x7f\n");
}

}  // namespace
}  // namespace mp::trace
