/* get, put, post, delete, fetch, patch, ipatch; and coap-client's way without a command.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "output.h"
#include "report.h"

int command_request(const struct args *args)
{
	struct target target;
	struct request request;
	struct answer answer;

	if (args->alias && args_count(args, ARG_FOR))
		return command_observe(args);
	int code = target_find(&target, args, args->operand[0], false);
	if (code)
		return code;
	code = request_make(&request, args, &target);
	if (!code) {
		code = exchange_once(&target, &request, &answer);
		if (!code) {
			code = output_answer(args, &answer);
			answer_free(&answer);
		}
		request_free(&request);
	}
	target_close(&target);
	return code;
}
