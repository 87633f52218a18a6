// Runs the rows of one benchmark program: all sides of a row in turns (A B C A B C …), so that a change of the
// machine's speed hits all alike; the ratios are taken within each turn.
//
//     int main(int argc, char** argv) {
//         bench::Suite suite("name", argc, argv);
//         suite.run({.name = "…", .unit = "us", .better = bench::Better::lower, .ours = {…}, .peers = {{…}}});
//         return suite.finish();
//     }
//
// The program understands:
//     [TEXT]...       only rows whose name contains one of the texts
//     --quick         fewer turns, and without the rows that take long; one turn a row once the program has had its
//                     share of the time, so that all programs together take less than three minutes
//     --turns N       this many turns a row
//     --json FILE     writes all figures; bench_report makes a page of such files
//     --list          only names the rows
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "driver/row.hpp"

namespace bench {

class Suite {
  public:
    /// Ends the program when the arguments cannot be understood.
    Suite(std::string name, int argc, char** argv);

    bool quick() const { return quick_; }
    /// Whether the arguments ask for a row of this name. For rows whose preparation is dear.
    bool wants(std::string_view row) const;
    /// Runs the row, unless the arguments ask for others, and prints its figures. A side that throws is reported, and
    /// the row goes on without it.
    void run(Row row);
    /// Writes the figures where the arguments want them; the program's exit code.
    int finish();

  private:
    std::string name_;
    std::vector<std::string> texts_;
    bool quick_ = false;
    bool list_ = false;
    int turns_ = 0;  // 0: as many as fit into a row's time
    std::string json_file_;
    nlohmann::ordered_json rows_ = nlohmann::ordered_json::array();
    nlohmann::ordered_json machine_;
    bool failed_ = false;
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// CPU, kernel, compiler, load: what a reader has to know to judge a figure.
nlohmann::ordered_json machine_facts();

}  // namespace bench
