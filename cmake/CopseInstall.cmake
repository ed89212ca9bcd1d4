# What `cmake --install` lays down: the programs, libcopse.a with its headers and registry, a pkg-config file, the pages.
# libcopse is the core and the transports in one archive; what the programs are made of beside that is not installed.
include(GNUInstallDirs)

set(library_objects "")
set(library_private "")
foreach(module core hdlc transport oscore)
  if(TARGET copse_${module})
    list(APPEND library_objects $<TARGET_OBJECTS:copse_${module}>)
    get_target_property(private copse_${module} COPSE_PC_REQUIRES)
    if(private)
      string(APPEND library_private " ${private}")
    endif()
  endif()
endforeach()
add_library(copse_archive STATIC ${library_objects})
set_target_properties(copse_archive PROPERTIES OUTPUT_NAME copse LINKER_LANGUAGE C)
install(TARGETS copse_archive ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/copse/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/copse
  FILES_MATCHING PATTERN "*.h" PATTERN registry EXCLUDE)
install(DIRECTORY registry/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/copse/registry FILES_MATCHING PATTERN "*.def")

string(STRIP "${library_private}" COPSE_PC_REQUIRES)
configure_file(${CMAKE_CURRENT_LIST_DIR}/libcopse.pc.in ${CMAKE_BINARY_DIR}/libcopse.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/libcopse.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

foreach(program copse copse-gateway copse-sim copse-nic)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()
install(FILES README.md NEWS.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY doc/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md")

# The gateway as a service: for systemd(1) and systemd-sysusers(8), and a configuration to begin with.
if(TARGET copse-gateway)
  set(service ${CMAKE_SOURCE_DIR}/apps/copse-gateway)
  configure_file(${service}/copse-gateway.service.in ${CMAKE_BINARY_DIR}/copse-gateway.service @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/copse-gateway.service DESTINATION lib/systemd/system)
  install(FILES ${service}/sysusers.conf DESTINATION lib/sysusers.d RENAME copse.conf)
  install(FILES ${CMAKE_SOURCE_DIR}/doc/gateway.conf.sample DESTINATION ${CMAKE_INSTALL_DOCDIR})
endif()
