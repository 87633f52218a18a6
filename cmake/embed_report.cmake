# cmake -DSOURCE=src/trace/report -DTO=report_page.cpp -P embed_report.cmake: puts the report's page, style and scripts into
# one string constant. The scripts are one program: in this order.
file(READ ${SOURCE}/page.html page)
file(READ ${SOURCE}/style.css style)
set(script "")
foreach(name units data theme canvas timeline distribution tables main)
  file(READ ${SOURCE}/${name}.js part)
  string(APPEND script "${part}")
endforeach()
string(REPLACE "@STYLE@" "${style}" page "${page}")
string(REPLACE "@SCRIPT@" "${script}" page "${page}")
file(WRITE ${TO} "#include \"trace/report_page.hpp\"\n\nnamespace mp::trace {\nextern const char report_page[] = R\"~~~(${page})~~~\";\n}\n")
