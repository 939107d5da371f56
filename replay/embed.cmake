# SPDX-License-Identifier: BSD-2-Clause
# cmake -DOUT=... -DPAGE=... -DCHART=... -P embed.cmake
# Writes a header with the bytes of both files as arrays.
function(append_array name file)
  file(READ "${file}" hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
  file(APPEND "${OUT}" "static const unsigned char ${name}[] = {\n${bytes}0x00};\n")
  file(APPEND "${OUT}" "enum { ${name}_len = sizeof(${name}) - 1 };\n")
endfunction()
file(WRITE "${OUT}" "/* Made by replay/embed.cmake. */\n")
append_array(report_page "${PAGE}")
append_array(report_chart "${CHART}")
