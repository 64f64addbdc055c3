/* main.c - spillway's entry; everything else can be linked into a test. */
#include "agent/cmd/cli.h"

int main(int argc, char **argv)
{
	return cli_main(argc, argv);
}
