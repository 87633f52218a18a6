// One crash costs one task, and says where and why.
#include <iostream>
#include <string>
#include <vector>

#include <multiprocessing/multiprocessing.hpp>

struct Table {
    int rows = 0;
};

int read_table(const Table* table) { return table->rows; }

int parse(const std::string& file) {
    const Table* table = nullptr;
    Table good{static_cast<int>(file.size())};
    if (file != "c.pdf") table = &good;  // a bug for this one file
    return read_table(table);
}

int main() {
    mp::Pool pool(2);
    const std::vector<std::string> files{"a.pdf", "bb.pdf", "c.pdf", "dddd.pdf"};
    for (const auto& outcome : pool.map_outcomes(parse, files)) {
        if (outcome) std::cout << *outcome << " rows\n";
        else std::cout << outcome.error() << '\n';
    }
}
