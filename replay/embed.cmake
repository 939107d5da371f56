# SPDX-License-Identifier: BSD-2-Clause
# cmake -DOUT=... -DFOLDER=... -DCHART=... -P embed.cmake
# Writes a header with the bytes of the reports' files as arrays.
function(append_array name file)
  file(READ "${file}" hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
  file(APPEND "${OUT}" "static const unsigned char ${name}[] = {\n${bytes}0x00};\n")
  file(APPEND "${OUT}" "enum { ${name}_len = sizeof(${name}) - 1 };\n")
endfunction()
file(WRITE "${OUT}" "/* Made by replay/embed.cmake. */\n")
append_array(replay_page "${FOLDER}/report.html.in")
append_array(compare_page "${FOLDER}/compare.html.in")
append_array(report_style "${FOLDER}/report.css")
append_array(report_common "${FOLDER}/report.js")
append_array(report_chart "${CHART}")
