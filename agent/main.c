/* main.c - spillway's entry; everything else can be linked into a test. */
#include "agent/base/descriptors.h"
#include "agent/cmd/cli.h"

int main(int argc, char **argv)
{
	descriptors_fill_standard();
	return cli_main(argc, argv);
}
