# Everything above the core. Each folder brings its own CMakeLists.txt; one that is absent is left out.
include(GNUInstallDirs)
foreach(folder src/small src/hdlc src/transport src/oscore src/store src/gateway src/http src/mqtt
        apps/log apps/oscore apps/copse apps/copse-gateway apps/copse-sim apps/copse-nic doc examples bench tests)
  if(EXISTS ${CMAKE_SOURCE_DIR}/${folder}/CMakeLists.txt)
    add_subdirectory(${folder})
  endif()
endforeach()
