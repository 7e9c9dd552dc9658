/* The parts of the agent, for those that join them: main.c makes them, routes.c calls them. */
#pragma once

#include "agent/asks.h"
#include "agent/enrol.h"
#include "agent/job.h"
#include "agent/logs.h"
#include "agent/peer.h"
#include "agent/requests.h"
#include "agent/stream.h"

struct agent {
	struct enrol *enrol;
	struct requests *requests;
	struct jobs *jobs;
	struct streams *streams;
	struct logs *logs;
	struct asks *asks;
	struct peers *peers;
};
